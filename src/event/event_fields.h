/* event_fields.h - the field numbers of Event (event.proto), and of an entry of its headers. */
#ifndef TRIBUTARY_EVENT_EVENT_FIELDS_H
#define TRIBUTARY_EVENT_EVENT_FIELDS_H

enum event_field {
    EVENT_ID = 1,
    EVENT_TOPIC = 2,
    EVENT_KEY = 3,
    EVENT_TYPE = 4,
    EVENT_CONTENT_TYPE = 5,
    EVENT_HEADERS = 6,
    EVENT_TIME = 7,
    EVENT_DATA = 8,
    EVENT_EXPIRES = 9,
    EVENT_DELIVER_AFTER = 10,
    EVENT_FIELDS
};
enum entry_field { ENTRY_KEY = 1, ENTRY_VALUE = 2, ENTRY_FIELDS };

#endif
