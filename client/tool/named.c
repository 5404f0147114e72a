/* named.c - see named.h. */
#include "client/tool/named.h"

#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"

static int check(const struct named_job *job, size_t names)
{
    if (names == 0)
        return cli_wrong(job->verb, "%s", job->missing);
    return job->check ? job->check(job->verb, job->settings, names) : EXITS_OK;
}

static int each_name(const struct named_job *job, const struct text_list *names)
{
    struct tributary *client = NULL;
    int result = link_open(job->verb, job->common, &client);

    for (size_t i = 0; i < names->count && result == EXITS_OK; i++)
        result = job->each(job->verb, job->settings, client, names->items[i]);
    tributary_free(client);
    return result;
}

int named_run(const struct named_job *job, int argc, char **argv)
{
    struct text_list names = {0};
    int result = EXITS_OK;

    if (cli_parse(job->verb, argc, argv, job->settings, &names, &result)) {
        result = check(job, names.count);
        if (result == EXITS_OK)
            result = each_name(job, &names);
    }
    cli_free(job->verb, job->settings, &names);
    return result;
}
