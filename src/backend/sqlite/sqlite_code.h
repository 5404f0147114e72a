/* sqlite_code.h - what SQLite's result codes mean for the store. For the files of this room.
 *
 * Threads: any. */
#ifndef TRIBUTARY_BACKEND_SQLITE_SQLITE_CODE_H
#define TRIBUTARY_BACKEND_SQLITE_SQLITE_CODE_H

/* What a failed step leads to. */
enum db_result {
    DB_OK = 0,
    DB_FULL,      /* the disk, a quota or a limit of file sizes is full: it may pass */
    DB_LOCKED,    /* another program has the database locked: it may pass */
    DB_NO_MEMORY, /* it may pass */
    DB_FAILED,    /* final: nothing is written any more */
};

/* `code` is an extended result code, `sys` the errno of the system call behind it, or 0. What is
 * not known is final. */
enum db_result db_result_of(int code, int sys);

/* "SQLITE_IOERR_FSYNC"; for a code without a name here that of its kind: "SQLITE_IOERR". Static. */
const char *sqlite_code_name(int code);

#endif
