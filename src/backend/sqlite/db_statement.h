/* db_statement.h - the statements that are prepared when the database is opened; database.c has
 * their texts. For the files of this room. */
#ifndef TRIBUTARY_BACKEND_SQLITE_DB_STATEMENT_H
#define TRIBUTARY_BACKEND_SQLITE_DB_STATEMENT_H

enum db_statement {
    DB_BEGIN,
    DB_COMMIT,
    DB_ROLLBACK,
    DB_PAGES,
    DB_FREE_PAGES,
    DB_META_SET,
    DB_RECORD_GET,
    DB_RECORD_PUT,
    DB_RECORD_REMOVE,
    DB_TOPIC_INSERT,
    DB_TOPIC_UPDATE,
    DB_TOPIC_REMOVE,
    DB_PUBLISHER_GET,
    DB_PUBLISHER_PUT,
    DB_PUBLISHER_EXPIRE,
    DB_IDS_PUT,
    DB_IDS_EXPIRE,
    DB_IDS_REMOVE,
    DB_DUE_PUT,
    DB_DUE_FIRST,
    DB_DUE_GET,
    DB_DUE_OF_TOPIC,
    DB_DUE_REMOVE,
    DB_GROUP_PUT,
    DB_GROUP_REMOVE,
    DB_CURSOR_FIND,
    DB_CURSOR_UPDATE,
    DB_CURSOR_INSERT,
    DB_CURSORS_OF_TOPIC,
    DB_CURSORS_OF_GROUP,
    DB_STATEMENT_COUNT
};

#endif
