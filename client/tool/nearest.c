/* nearest.c - distances between words, after Damerau and Levenshtein. */
#include "client/tool/nearest.h"

#include <string.h>

#include "base/base.h"

#define MAX_WORD 64u
#define MAX_DISTANCE 3u
#define MIN_BEGINNING 3u /* letters */

unsigned edit_distance(const char *left, const char *right, unsigned max)
{
    const size_t left_size = strlen(left);
    const size_t right_size = strlen(right);
    unsigned rows[3][MAX_WORD + 1]; /* this row, the one before, and the one before that */

    if (left_size > MAX_WORD || right_size > MAX_WORD)
        return max + 1;
    for (size_t j = 0; j <= right_size; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= left_size; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *before = rows[(i + 2) % 3];
        const unsigned *two_before = rows[(i + 1) % 3];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= right_size; j++) {
            const unsigned replaced = before[j - 1] + (left[i - 1] == right[j - 1] ? 0 : 1);

            row[j] = MIN_OF(replaced, MIN_OF(before[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1])
                row[j] = MIN_OF(row[j], two_before[j - 2] + 1);
        }
    }
    return MIN_OF(rows[left_size % 3][right_size], max + 1);
}

struct nearest nearest_init(const char *written)
{
    const size_t third = strlen(written) / 3;

    return (struct nearest){.written = written, .distance = (unsigned)MIN_OF(third, MAX_DISTANCE) + 1};
}

void nearest_offer(struct nearest *nearest, const char *word)
{
    const size_t size = strlen(nearest->written);
    unsigned distance = edit_distance(nearest->written, word, MAX_DISTANCE);

    if (size >= MIN_BEGINNING && strncmp(word, nearest->written, size) == 0)
        distance = MIN_OF(distance, 1);
    if (distance < nearest->distance) {
        nearest->word = word;
        nearest->distance = distance;
    }
}
