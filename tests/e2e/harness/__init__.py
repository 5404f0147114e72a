"""What the end-to-end tests stand on: our protos, the daemon as a process, clients, raw HTTP/2, and the base class of all cases."""
