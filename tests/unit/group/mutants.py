#!/usr/bin/env python3
"""mutants.py - sources of consumer groups with one fault each; see mutant.py. What a test says is the
line of the model that does not hold."""
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import mutant  # noqa: E402

FLOOR = ("info.floor == floor",)
# For each: what stands in the source, what stands there instead, and what a test then says.
MUTANTS = {
    "commit_beyond_prefix": ("if (range.first == window->floor + 1) {", "if (summary->ranges == 0) {", FLOOR),
    "floor_passes_open": ("while (window_is_settled(window, window->floor + 1)) {",
                          "while (window_is_settled(window, window->floor + 1) ||\n"
                          "           window_is_settled(window, window->floor + 2)) {",
                          ("result.count == count", *FLOOR)),
    "range_off_by_one": ("position <= last; position++)", "position < last; position++)",
                         ("result.count == count", "result.answer == explained")),
    "shard_moves_before_settle": ("        begin_move(group, number, now_ns);",
                                  "        begin_move(group, number, now_ns), shard->owner = target;",
                                  ("event->state != EVENT_SENT",)),
    "attempt_not_counted": ("    slot->attempt++;\n", "", ("oldest_attempt ==", "event->attempt ==")),
    "wrong_order": ("link_offset(window, b) < link_offset(window, a)",
                    "link_offset(window, b) > link_offset(window, a)",
                    ("model_first(source, known->shard) == event->position",)),
    "stale_ack": ("range->generation > 0 && range->generation < shard->granted",
                  "range->generation > UINT64_MAX - 1 && range->generation < shard->granted",
                  ("result.count == count", "result.answer == explained")),
    "letter_without_commit": ("        put_letters_back(source);\n        source_unsaved(",
                              "        settle_letters(source);\n        source_unsaved(",
                              ("info.totals.in_flight == in_flight", "info.ranges == ranges", *FLOOR)),
    "wakeup_lost": ("    if (!list_empty(&member->ready))\n        member_ready(member);\n", "",
                    ("members[i].is_ready",)),
    "timer_late": ("queue_arm(queue, from_ns);", "queue_arm(queue, from_ns + 1);",
                   ("group_due_ns(group) <= due_ns()",)),
}

if __name__ == "__main__":
    mutant.main(MUTANTS, {})
