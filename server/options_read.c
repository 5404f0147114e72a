/* options_read.c - reads the command line, and checks it. */
#include "server/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/place.h"
#include "base/quantity.h"
#include "server/options_print.h"
#include "server/options_table.h"
#include "server/wire/address.h"

/* The words of an error: what must be different about a value. */
struct refusal {
    char text[MAX_OF(TLS_SPEC_FAULT_CAPACITY, MAX_OF(QUANTITY_FAULT_CAPACITY, PLACE_FAULT_CAPACITY))];
};

static bool parse_quantity(struct options *options, const struct option *option, const char *text,
                           struct refusal *refusal)
{
    uint64_t quantity;

    if (!quantity_parse(option_quantity_kind(option), text, option_bounds(option), &quantity, refusal->text))
        return false;
    option_set_quantity(options, option, (int64_t)quantity);
    return true;
}

/* The form of an address is checked here, before anybody asks what it means. */
static bool add_address(const char **addresses, size_t *count, const char *value, struct refusal *refusal)
{
    struct place place;

    if (*count == MAX_LISTEN_ADDRESSES) {
        snprintf(refusal->text, sizeof(refusal->text), "must be given at most %d times",
                 MAX_LISTEN_ADDRESSES);
        return false;
    }
    if (!place_parse(value, PLACE_LISTEN, &place, refusal->text))
        return false;
    addresses[(*count)++] = value;
    return true;
}

static bool same_name(const char *a, const char *b)
{
    const size_t size = strcspn(a, ":");

    return size == strcspn(b, ":") && strncmp(a, b, size) == 0;
}

/* The form is checked here. The files are read at the start. */
static bool add_upstream_tls(struct options *options, const char *value, struct refusal *refusal)
{
    struct tls_spec spec;

    if (options->upstream_tls_count == MAX_TLS_SETTINGS) {
        snprintf(refusal->text, sizeof(refusal->text), "must be given at most %u times", MAX_TLS_SETTINGS);
        return false;
    }
    for (size_t i = 0; i < options->upstream_tls_count; i++) {
        if (same_name(value, options->upstream_tls[i])) {
            snprintf(refusal->text, sizeof(refusal->text), "this name is given twice");
            return false;
        }
    }
    if (!tls_spec_read(value, &spec, refusal->text))
        return false;
    tls_spec_fini(&spec);
    options->upstream_tls[options->upstream_tls_count++] = value;
    return true;
}

static bool add_endpoints_dir(struct options *options, const char *value, struct refusal *refusal)
{
    if (options->endpoints_dir_count == MAX_FOLDERS) {
        snprintf(refusal->text, sizeof(refusal->text), "must be given at most %d times", MAX_FOLDERS);
        return false;
    }
    for (size_t i = 0; i < options->endpoints_dir_count; i++) {
        if (strcmp(value, options->endpoints_dir[i]) == 0) {
            snprintf(refusal->text, sizeof(refusal->text), "it is given already");
            return false;
        }
    }
    options->endpoints_dir[options->endpoints_dir_count++] = value;
    return true;
}

static bool set_text(const char **field, const struct option *option, const char *value,
                     struct refusal *refusal)
{
    const int64_t size = (int64_t)strlen(value);

    if (option->max > 0 && (size < option->min || size > option->max)) {
        snprintf(refusal->text, sizeof(refusal->text), "%" PRId64 " to %" PRId64 " bytes", option->min,
                 option->max);
        return false;
    }
    *field = value;
    return true;
}

static bool add_topic_pattern(struct options *options, const struct option *option, const char *value,
                              struct refusal *refusal)
{
    const char *text;

    if (options->create_topics_count == MAX_TOPIC_PATTERNS) {
        snprintf(refusal->text, sizeof(refusal->text), "must be given at most %d times", MAX_TOPIC_PATTERNS);
        return false;
    }
    if (!set_text(&text, option, value, refusal))
        return false;
    options->create_topics[options->create_topics_count++] = text_bytes(text);
    return true;
}

static bool set_on_off(enum on_off *field, const char *value)
{
    *field = strcmp(value, "on") == 0 ? ON : OFF;
    return *field == ON || strcmp(value, "off") == 0;
}

/* Sets the field of an option. False: the value is refused. *refusal says how it must be, or is
 * empty where the option's help says it. */
static bool set(struct options *options, const struct option *option, const char *value,
                struct refusal *refusal)
{
    void *field = option_field(options, option);

    switch (option->kind) {
    case OPTION_FLAG:
        *(bool *)field = true;
        return true;
    case OPTION_TEXT:
        return set_text(field, option, value, refusal);
    case OPTION_LISTEN:
        return add_address(options->listen, &options->listen_count, value, refusal);
    case OPTION_FAN_IN:
        return add_address(options->fan_in, &options->fan_in_count, value, refusal);
    case OPTION_UPSTREAM_TLS:
        return add_upstream_tls(options, value, refusal);
    case OPTION_ENDPOINTS_DIR:
        return add_endpoints_dir(options, value, refusal);
    case OPTION_CREATE_TOPICS:
        return add_topic_pattern(options, option, value, refusal);
    case OPTION_NUMBER:
    case OPTION_BYTES:
    case OPTION_DURATION:
    case OPTION_DURATION_OR_NEVER:
        return parse_quantity(options, option, value, refusal);
    case OPTION_LEVEL:
        return log_level_parse(value, field);
    case OPTION_FORMAT:
        return log_format_parse(value, field);
    case OPTION_ON_OFF:
        return set_on_off(field, value);
    case OPTION_UNIX_MODE:
        return unix_access_read_mode(field, value);
    case OPTION_UNIX_GROUP:
        return unix_access_read_group(field, value);
    case OPTION_HELP:
    case OPTION_VERSION:
    case OPTION_ERRORS:
    case OPTION_MAN:
        break;
    }
    return false;
}

/* The option of this name, which has `length` bytes. NULL: there is no such option. */
static const struct option *find(const char *name, size_t length)
{
    for (const struct option *option = option_table; option->name; option++)
        if (strlen(option->name) == length && strncmp(option->name, name, length) == 0)
            return option;
    return NULL;
}

/* Finds the option of "--name" or "--name=value". Sets *value_out to NULL where there is no "=".
 * Returns NULL where there is no such option. */
static const struct option *find_argument(const char *argument, const char **value_out)
{
    if (strncmp(argument, "--", 2) != 0)
        return NULL;
    const char *name = argument + 2;
    size_t length = strcspn(name, "=");
    *value_out = name[length] == '=' ? name + length + 1 : NULL;
    return find(name, length);
}

static enum options_outcome print_and_stop(enum option_kind kind, FILE *out)
{
    if (kind == OPTION_HELP)
        options_print_help(out);
    else if (kind == OPTION_VERSION)
        fputs("tributaryd " TRIBUTARY_VERSION "\n", out);
    else if (kind == OPTION_MAN)
        options_print_man(out);
    else
        options_print_errors(out);
    return OPTIONS_DONE;
}

/* The bit of an option in the set of those that were given. */
static uint64_t bit_of(const struct option *option)
{
    return UINT64_C(1) << (option - option_table);
}

static bool was_given(uint64_t given, const char *name)
{
    return given & bit_of(find(name, strlen(name)));
}

/* Refuses an address that is not local without --insecure-listen. */
static bool check_address(const struct options *options, const char *name, const char *address, bool *local,
                          FILE *err)
{
    if (address_is_local(address))
        return true;
    *local = false;
    if (options->insecure_listen)
        return true;
    fprintf(err,
            "tributaryd: --%s %s: this is not a loopback address or a unix socket, and the "
            "connection is plaintext: whoever "
            "reaches the port can read, "
            "publish and stop the service. Say --insecure-listen if that is meant.\n",
            name, address);
    return false;
}

/* Reflection is on where every address is local, unless its option says otherwise. */
static enum options_outcome check_addresses(struct options *options, FILE *err)
{
    bool local = true, fan_in_local = true;

    if (options->listen_count == 0)
        options->listen[options->listen_count++] = DEFAULT_LISTEN;
    for (size_t i = 0; i < options->listen_count; i++) {
        if (!check_address(options, "listen", options->listen[i], &local, err))
            return OPTIONS_WRONG;
    }
    for (size_t i = 0; i < options->fan_in_count; i++) {
        if (!check_address(options, "fan-in", options->fan_in[i], &fan_in_local, err))
            return OPTIONS_WRONG;
    }
    if (options->reflection == ON_OFF_UNSET)
        options->reflection = local ? ON : OFF;
    return OPTIONS_RUN;
}

/* Refuses an option that was given with a quantity which another option's quantity makes senseless:
 * `name` must be at least (or with `at_most`: at most) the option `other`. An option that was not
 * given is not refused: where that matters, its default gives way. */
static bool fits(const struct options *options, uint64_t given, const char *name, bool at_most,
                 const char *other, FILE *err)
{
    const struct option *option = find(name, strlen(name)), *bound = find(other, strlen(other));
    int64_t quantity = option_quantity(options, option), limit = option_quantity(options, bound);

    if (!was_given(given, name) || (at_most ? quantity <= limit : quantity >= limit))
        return true;
    fprintf(err, "tributaryd: --%s ", name);
    options_print_quantity(err, option, quantity);
    fprintf(err, ": not valid: %s --%s, which is ", at_most ? "at most" : "at least", other);
    options_print_quantity(err, bound, limit);
    fputs("\n", err);
    return false;
}

/* Refuses options for socket files where no address is one. */
static bool unix_options_fit(const struct options *options, uint64_t given, FILE *err)
{
    const char *const names[] = {"unix-mode", "unix-group"};

    for (size_t i = 0; i < options->listen_count; i++)
        if (unix_access_concerns(options->listen[i]))
            return true;
    for (size_t i = 0; i < options->fan_in_count; i++)
        if (unix_access_concerns(options->fan_in[i]))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (was_given(given, names[i])) {
            fprintf(err, "tributaryd: --%s: no --listen is a socket file, unix:PATH\n", names[i]);
            return false;
        }
    }
    return true;
}

static bool topic_options_fit(const struct options *options, FILE *err)
{
    if (options->create_topics_count == 0 || options->state_dir)
        return true;
    fputs("tributaryd: --create-topics: stored topics need --state-dir\n", err);
    return false;
}

static enum options_outcome check_together(struct options *options, uint64_t given, FILE *err)
{
    if (!fits(options, given, "max-event-bytes", true, "max-batch-bytes", err) ||
        !fits(options, given, "max-unfinished-bytes", false, "max-batch-bytes", err) ||
        !unix_options_fit(options, given, err) || !topic_options_fit(options, err))
        return OPTIONS_WRONG;
    return check_addresses(options, err);
}

static void print_invalid(const struct option *option, const char *value, const struct refusal *refusal,
                          FILE *err)
{
    fprintf(err, "tributaryd: --%s '%s': not valid: %s", option->name, value,
            refusal->text[0] != '\0' ? refusal->text : option->help);
    if (option_has_bounds(option))
        fprintf(err, " (%s)", option->help);
    fputs("\n", err);
}

enum options_outcome options_read(int argc, char **argv, struct options *options_out, FILE *out, FILE *err)
{
    uint64_t given = 0;

    options_set_defaults(options_out);
    for (int i = 1; i < argc; i++) {
        const char *value = NULL;
        const struct option *option = find_argument(argv[i], &value);
        if (!option || (!option->value && value)) {
            fprintf(err, "tributaryd: %s: no such option; see tributaryd --help\n", argv[i]);
            return OPTIONS_WRONG;
        }
        if (option->kind == OPTION_HELP || option->kind == OPTION_VERSION || option->kind == OPTION_ERRORS ||
            option->kind == OPTION_MAN)
            return print_and_stop(option->kind, out);
        if (option->value && !value)
            value = i + 1 < argc ? argv[++i] : NULL;
        if (option->value && !value) {
            fprintf(err, "tributaryd: --%s needs a value: %s\n", option->name, option->help);
            return OPTIONS_WRONG;
        }
        struct refusal refusal = {.text = ""};
        if (!set(options_out, option, value, &refusal)) {
            print_invalid(option, value, &refusal, err);
            return OPTIONS_WRONG;
        }
        given |= bit_of(option);
    }
    return check_together(options_out, given, err);
}
