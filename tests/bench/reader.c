/* The least work that reads a unit's messages: sd_journal_next and sd_journal_get_data, nothing else. The yardstick of the bench. */
#include <stdio.h>
#include <string.h>
#include <systemd/sd-journal.h>

int main(int argc, char **argv) {
    sd_journal *journal;
    unsigned long entries = 0, bytes = 0;
    if (argc < 3 || sd_journal_open_directory(&journal, argv[1], 0) < 0) {
        fprintf(stderr, "usage: reader DIRECTORY UNIT...\n");
        return 1;
    }
    for (int i = 2; i < argc; i++) {
        char match[256];
        int length = snprintf(match, sizeof match, "_SYSTEMD_UNIT=%s", argv[i]);
        if (length >= (int)sizeof match || sd_journal_add_match(journal, match, length) < 0)
            return 1;
    }
    while (sd_journal_next(journal) > 0) {
        const void *data;
        size_t length;
        if (sd_journal_get_data(journal, "MESSAGE", &data, &length) < 0)
            continue;
        entries++;
        bytes += length;
    }
    printf("%lu %lu\n", entries, bytes);
    sd_journal_close(journal);
    return 0;
}
