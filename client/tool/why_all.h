/* why_all.h - `tributary why --all`. Main thread. */
#ifndef TRIBUTARY_TOOL_WHY_ALL_H
#define TRIBUTARY_TOOL_WHY_ALL_H

#include <stdbool.h>
#include <stdint.h>

struct tributary;

/* Prints what limits every subscription, the worst first: a table, or with `is_json` an object on
 * each line. `window_ns` 0 and `timeout_ns` 0 are the defaults. After an error it prints what is
 * known, and the error. Returns the exit code. */
int why_all(struct tributary *client, int64_t window_ns, int64_t timeout_ns, bool is_json);

#endif
