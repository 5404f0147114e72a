/* event_fields.h - which fields of Event, and of an entry of its headers, this room knows. Higher
 * numbers are unknown to it. */
#ifndef TRIBUTARY_EVENT_EVENT_FIELDS_H
#define TRIBUTARY_EVENT_EVENT_FIELDS_H

#include "proto/field_numbers.h"

enum { EVENT_FIELDS = PB_EVENT_DELIVER_AFTER_UNIX_NANO + 1, ENTRY_FIELDS = PB_EVENT_HEADERS_ENTRY_VALUE + 1 };

_Static_assert(EVENT_FIELDS <= 16, "the tables by tag need tags of one byte");

#endif
