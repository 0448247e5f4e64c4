//! Long jobs, told to whoever waits for them: one event log, every transport.
