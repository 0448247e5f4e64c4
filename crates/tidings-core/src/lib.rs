//! Jobs, events, the log and the host that Tidings' transports mount on.
