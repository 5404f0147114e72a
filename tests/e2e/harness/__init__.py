"""What the end-to-end tests share: the protos, the daemon as a process, clients, HTTP/2 by hand,
and the base class of all cases."""
