//! Tidings over AMQP 0-9-1: relays events to a broker, takes submissions from a queue.
