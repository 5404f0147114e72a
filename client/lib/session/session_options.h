/* session_options.h - defaults and bounds of a session's options. Any thread. */
#ifndef TRIBUTARY_CLIENT_SESSION_OPTIONS_H
#define TRIBUTARY_CLIENT_SESSION_OPTIONS_H

#include "tributary/tributary.h"

/* Fills in the defaults, then checks the bounds. NULL: done. Otherwise the option that is out of
 * its bounds, as static text. */
const char *session_apply_defaults(struct tributary_session_options *options);

#endif
