/* sub_start.h - where a stream begins: the value of `sub --from`. Main thread. */
#ifndef TRIBUTARY_TOOL_SUB_START_H
#define TRIBUTARY_TOOL_SUB_START_H

#include <stdbool.h>

#include "tributary/tributary.h"

/* Reads live, earliest, last:N, seq:N, a moment (value.h), or a duration before `now_unix_nano`
 * such as -15m, into the start of `options`. NULL: done. Otherwise what is wrong, as static text;
 * `options` is unchanged. */
const char *sub_start_read(const char *value, uint64_t now_unix_nano,
                           struct tributary_subscriber_options *options);

#endif
