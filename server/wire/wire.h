/* wire.h - the core as a whole: start it, stop it, and let its log lines go where ours go. */
#ifndef TRIBUTARY_SERVER_WIRE_WIRE_H
#define TRIBUTARY_SERVER_WIRE_WIRE_H

/* Before everything else of this room, and after everything. The core's own log lines become `core`
 * lines of our log, escaped. */
void wire_init(void);
void wire_fini(void);
const char *wire_version(void); /* of the gRPC core; static */

#endif
