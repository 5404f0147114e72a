#!/usr/bin/python3
"""What the harness makes of numbers: medians, ratios within a round, targets, comparison, and which
runs are dropped. Nothing is measured.

    tests/bench/test_metrics.py -v [Class.test_name]"""

import dataclasses
import json
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

from harness import campaign, compare, metrics, report, store, targets, workloads  # noqa: E402


def run_of(rate=1000, cpu=0.5, **more):
    """What the generator prints, as far as the metrics need it."""
    return {
        "protocol": "tributary",
        "seconds": 4.0,
        "published": 4000,
        "delivered": 4000,
        "consumers": 1,
        "events_per_s": rate,
        "published_per_s": rate,
        "server_cpu_s_per_M": cpu,
        "producer_cpu_s_per_M": 0.02,
        "consumer_cpu_s_per_M": 0.03,
        "rss_bytes": 30 << 20,
        "rss_before_bytes": 10 << 20,
        "foreign_cpu_share": 0.0,
        "steal_share": 0.0,
        "latency_us": {"p50": 60, "p90": 70, "p99": 100, "p999": 900, "max": 2000},
        "consumer_delivered": [4000],
        **more,
    }


def row_named(name, **changes):
    found = [row for workload in workloads.workloads() for row in workload.rows if row.id == name]
    return dataclasses.replace(found[0], **changes)


def result_of(name, **runs):
    """A row's result; each contestant's runs in the order of rounds. None: that round has no run
    of it."""
    result = campaign.RowResult(row_named(name))
    for contestant, of in runs.items():
        for number, run in enumerate(of, 1):
            if run is not None:
                result.runs.append({"round": number, "contestant": contestant.replace("_", " "), "run": run})
    return result


class Metrics(unittest.TestCase):
    def test_median_minimum_and_maximum_of_odd_and_even_counts(self):
        self.assertEqual(metrics.summarize([3, 1, 2]), metrics.Summary(2, 1, 3, 3))
        self.assertEqual(metrics.summarize([4, 1, 2, 3]), metrics.Summary(2.5, 1, 4, 4))
        self.assertIsNone(metrics.summarize([]))
        self.assertEqual(metrics.summarize([None, 7]), metrics.Summary(7, 7, 7, 1))

    def test_ratio_is_the_median_of_the_ratios_within_each_round(self):
        result = result_of(
            "W1 4x1",
            tributary=[run_of(50), run_of(90), run_of(10)],
            raw=[run_of(100), run_of(100), run_of(100)],
        )
        self.assertEqual(metrics.summary("ratio", result, "tributary"), metrics.Summary(0.5, 0.1, 0.9, 3))
        # The machine halves its speed: the medians alone would say 60 of 100.
        result = result_of(
            "W1 4x1",
            tributary=[run_of(50), run_of(60), run_of(100)],
            raw=[run_of(100), run_of(120), run_of(50)],
        )
        self.assertEqual(metrics.summary("ratio", result, "tributary").median, 0.5)

    def pairs(self, *runs):
        """A result of W12; each run is (round, contestant, rate), in the order of time."""
        result = campaign.RowResult(row_named("W12 packed 4x1"))
        result.runs = [
            {"round": number, "contestant": contestant, "run": run_of(rate, cpu=1000 / rate)}
            for number, contestant, rate in runs
        ]
        return result

    def test_a_machine_that_slows_down_in_a_round_of_two_pairs_changes_both_alike(self):
        # Both are equally fast, and each run is 10 slower than the one before.
        result = self.pairs(
            (1, "tributary", 100), (1, "guard off", 90), (1, "guard off", 80), (1, "tributary", 70)
        )
        self.assertAlmostEqual(metrics.summary("rate_over_off", result, "tributary").median, 0.993, 3)
        self.assertEqual(metrics.summary("rate", result, "tributary"), metrics.Summary(85, 85, 85, 1))
        self.assertEqual(metrics.summary("cpu_over_off", result, "guard off"), None)

    def test_a_round_that_ended_early_counts_the_pairs_that_it_has(self):
        result = self.pairs(
            (1, "tributary", 50), (1, "guard off", 100), (1, "guard off", 10), (2, "tributary", 70)
        )
        self.assertEqual(metrics.series(metrics.METRICS["rate_over_off"], result, "tributary"), [0.5, None])
        self.assertEqual(metrics.summary("cpu_over_off", result, "tributary").median, 2)

    def test_a_round_without_the_base_has_no_ratio(self):
        result = result_of("W1 4x1", tributary=[run_of(50), run_of(70)], raw=[None, run_of(100)])
        self.assertEqual(metrics.summary("ratio", result, "tributary"), metrics.Summary(0.7, 0.7, 0.7, 1))
        self.assertEqual(
            metrics.series(metrics.METRICS["ratio"], result, "raw"), [], "the base's own ratio says nothing"
        )

    def test_latency_that_was_not_measured_has_no_summary(self):
        bare = run_of(latency_us={"p50": None, "p99": None})
        result = result_of("W3 4x1", tributary=[bare], raw=[run_of()])
        self.assertIsNone(metrics.summary("p50", result, "tributary"))
        self.assertIsNone(metrics.summary("p50_over", result, "tributary"))
        self.assertEqual(metrics.summary_text(metrics.METRICS["p50"], None), "-")

    def test_cpu_per_published_event_does_not_depend_on_the_number_delivered(self):
        everything = run_of(cpu=0.1, published=1000, delivered=8000)
        an_eighth = run_of(cpu=0.4, published=1000, delivered=1000)
        result = result_of("W7 1x8", unfiltered=[everything], key=[an_eighth])
        self.assertAlmostEqual(metrics.summary("cpu_ingested", result, "unfiltered").median, 0.8)
        self.assertAlmostEqual(metrics.summary("cpu_ingested_over", result, "key").median, 0.5)

    def test_memory_per_consumer_counts_only_added_memory(self):
        result = result_of(
            "W5 idle 1000", tributary=[run_of(consumers=1000, rss_before_bytes=0, rss_bytes=40 * 1024 * 1000)]
        )
        self.assertEqual(metrics.summary("per_consumer", result, "tributary").median, 40)

    def test_memory_per_added_consumer_leaves_the_producers_out(self):
        one = run_of(consumers=1, rss_bytes=20 << 20)
        result = result_of(
            "W5 200x200",
            tributary=[run_of(consumers=200, rss_bytes=(20 << 20) + 199 * 45 * 1024)],
            with_one_consumer=[one],
        )
        self.assertEqual(metrics.summary("per_added", result, "tributary").median, 45)
        self.assertIsNone(metrics.summary("per_added", result, "with one consumer"))
        result = result_of(
            "W5 200x200", nats=[run_of(protocol="nats", consumers=200)], with_one_consumer=[one]
        )
        self.assertIsNone(metrics.summary("per_added", result, "nats"), "another server's memory is no base")

    def test_others_is_the_share_of_the_worst_reading_consumer(self):
        sent = 20000 * 4
        result = result_of(
            "W6 1x4",
            one_stalled=[run_of(consumer_delivered=[sent, sent // 2, sent, 12])],
            none_stalled=[run_of(consumer_delivered=[sent, sent, sent, 12])],
        )
        self.assertEqual(metrics.summary("others", result, "one stalled").median, 50)
        self.assertEqual(
            metrics.summary("others", result, "none stalled").median, 100, "the same three consumers"
        )

    def test_the_generators_own_lateness_is_shown_beside_the_latency(self):
        result = result_of(
            "W10 single 50x1",
            own_consumer=[run_of(late_us={"p50": 10, "p99": 70})],
            no_flood=[run_of(late_us={"p50": None, "p99": None})],
        )
        self.assertEqual(metrics.summary("late_p99", result, "own consumer").median, 70)
        self.assertIsNone(metrics.summary("late_p99", result, "no flood"))
        self.assertEqual(metrics.summary("p90", result, "own consumer").median, 70)
        self.assertEqual(metrics.summary("max", result, "own consumer").median, 2000)

    def test_change_of_p99_is_in_percent(self):
        slow = run_of(latency_us={"p50": 60, "p99": 150})
        result = result_of("W6 1x4", one_stalled=[slow], none_stalled=[run_of()])
        self.assertAlmostEqual(metrics.summary("p99_change", result, "one stalled").median, 50)


class Dropping(unittest.TestCase):
    def test_a_run_is_dropped_above_the_limit_of_either_share_and_not_at_it(self):
        self.assertEqual(metrics.disturbance(run_of(foreign_cpu_share=0.15, steal_share=0.15)), "")
        self.assertIn("0.16 of a core", metrics.disturbance(run_of(foreign_cpu_share=0.16)))
        self.assertIn("hypervisor", metrics.disturbance(run_of(steal_share=0.5)))
        self.assertEqual(metrics.disturbance(run_of(steal_share=0.5), limit=0.6), "")

    def measure(self, name, shares, plan):
        """Runs a row of two contestants; `shares` are the foreign shares of the first one's
        runs, one after the other, then 0."""
        row = row_named(name)
        row = dataclasses.replace(row, contestants=row.contestants[:2])
        shares, order = list(shares), []

        def drive(of, contestant):
            self.assertIs(of, row)
            order.append(contestant.name)
            mine = contestant is row.contestants[0]
            return run_of(foreign_cpu_share=shares.pop(0) if mine and shares else 0.0)

        result = campaign.measure(campaign.RowResult(row), plan, drive, lambda *ignored: None)
        return result, order

    def test_contestants_run_in_turn(self):
        result, order = self.measure("W1 4x1", [], campaign.Plan(runs=3))
        self.assertEqual(order, ["tributary", "raw"] * 3)
        self.assertEqual([number for number, _ in result.rounds("raw")], [1, 2, 3])
        self.assertTrue(result.trustworthy)

    def test_a_mirrored_row_runs_its_contestants_in_order_and_back(self):
        result, order = self.measure("W12 single 4x1", [], campaign.Plan(runs=2))
        self.assertEqual(order, ["tributary", "guard off", "guard off", "tributary"] * 2)
        self.assertEqual([number for number, _ in result.rounds("guard off")], [1, 1, 2, 2])

    def test_a_disturbed_run_is_repeated_in_its_round_and_counted(self):
        result, order = self.measure("W1 4x1", [0.0, 0.9, 0.8], campaign.Plan(runs=2))
        self.assertEqual(order, ["tributary", "raw", "tributary", "tributary", "tributary", "raw"])
        self.assertEqual(result.dropped_of("tributary"), 2)
        self.assertEqual(len(result.rounds("tributary")), 2)
        self.assertIn("0.90", result.dropped[0]["why"])
        self.assertTrue(result.trustworthy)

    def test_beyond_the_bound_a_disturbed_run_is_kept_and_not_trusted(self):
        result, order = self.measure("W1 4x1", [0.9] * 100, campaign.Plan(runs=2))
        self.assertEqual(result.dropped_of("tributary"), 4)
        self.assertEqual(order.count("tributary"), 6)
        self.assertEqual(result.disturbed, ["tributary"])
        self.assertFalse(result.trustworthy)
        self.assertIn("not trustworthy", "\n".join(report.trust_lines([result])))

    def test_a_row_that_only_reads_memory_is_never_dropped(self):
        result, _ = self.measure("W5 idle 1000", [0.9], campaign.Plan(runs=2))
        self.assertEqual(result.dropped, [])
        self.assertTrue(result.trustworthy)

    def test_a_failed_run_ends_the_row_and_keeps_what_was_measured(self):
        result = campaign.RowResult(row_named("W1 4x1"))

        def drive(row, contestant):
            if len(result.runs) == 5:
                raise campaign.RunFailed(f"{row.id} {contestant.name}: producer 3: number 17 instead of 16")
            return run_of()

        with self.assertRaisesRegex(campaign.RunFailed, "W1 4x1 raw: producer 3"):
            campaign.measure(result, campaign.Plan(runs=5), drive, lambda *ignored: None)
        self.assertEqual(len(result.runs), 5)

    def test_an_absent_contestant_takes_no_part(self):
        result = campaign.RowResult(row_named("W1 4x1"))
        campaign.measure(
            result,
            campaign.Plan(runs=1),
            lambda row, one: run_of(),
            lambda *ignored: None,
            {"nats": "not installed"},
        )
        self.assertEqual([one["contestant"] for one in result.runs], ["tributary", "raw", "redis"])


class Targets(unittest.TestCase):
    def judged(self, name, metric, contestant="tributary", **runs):
        return [
            one
            for one in targets.judge_all([result_of(name, **runs)])
            if one.target.metric == metric and one.target.contestant == contestant
        ][0]

    def test_more_is_better_for_ratios_and_the_bound_itself_is_met(self):
        raw = [run_of(100)]
        for rate, stage1, aim in ((34, False, False), (35, True, False), (50, True, True)):
            judgement = self.judged("W1 4x1", "ratio", tributary=[run_of(rate)], raw=raw)
            self.assertEqual((judgement.stage1, judgement.aim), (stage1, aim), rate)

    def test_less_is_better_for_cpu_and_a_target_may_have_no_aim(self):
        self.assertTrue(self.judged("W2 4x1", "cpu", tributary=[run_of(cpu=0.95)]).stage1)
        judgement = self.judged("W2 4x1", "cpu", tributary=[run_of(cpu=0.96)])
        self.assertEqual((judgement.stage1, judgement.aim), (False, None))

    def test_the_median_is_judged_and_not_the_best_run(self):
        self.assertFalse(
            self.judged("W2 4x1", "rate", tributary=[run_of(5e6), run_of(0.9e6), run_of(0.8e6)]).stage1
        )

    def test_a_latency_at_the_bound_is_met_and_each_contestant_is_judged(self):
        runs = {
            "own_consumer": [run_of(latency_us={"p99": 50000})],
            "one_for_all": [run_of(latency_us={"p99": 50001})],
        }
        for contestant, met in (("own consumer", True), ("one for all", False)):
            self.assertEqual(self.judged("W10 packed 50x1", "p99", contestant, **runs).stage1, met)

    def test_without_the_base_a_ratio_is_not_measured_and_not_met(self):
        judgement = self.judged("W1 4x1", "ratio", tributary=[run_of(100)])
        self.assertIsNone(judgement.measured)
        self.assertIn("not measured", " ".join(report.target_cells(judgement)))

    def test_every_target_names_an_existing_row_contestant_and_metric(self):
        rows = {row.id: row for workload in workloads.workloads() for row in workload.rows}
        for target in targets.TARGETS:
            self.assertIn(target.row, rows)
            self.assertIn(target.contestant, [one.name for one in rows[target.row].contestants])
            self.assertIn(target.metric, metrics.METRICS)

    def test_aims_are_no_weaker_than_stage_1(self):
        for target in targets.TARGETS:
            if target.aim is not None:
                self.assertTrue(
                    targets.reaches(metrics.METRICS[target.metric], target.aim, target.stage1), target
                )


class Rows(unittest.TestCase):
    def test_rows_are_selected_by_workload_and_by_word(self):
        picked = workloads.chosen(["w1", "W4"], ["4x1"])
        self.assertEqual(
            [row.id for workload in picked for row in workload.rows], ["W1 4x1", "W4 16B 4x1", "W4 1KiB 4x1"]
        )

    def test_an_unknown_name_is_reported(self):
        for names, only, expected in ((["W77"], [], "W77"), (["W1"], ["4x1", "5x5"], "5x5")):
            with self.assertRaisesRegex(ValueError, expected):
                workloads.chosen(names, only)

    def test_without_raw_a_row_has_no_base(self):
        row = workloads.without_peers(row_named("W1 4x1"), ("nats",))
        self.assertEqual(([one.name for one in row.contestants], row.base), (["tributary", "nats"], ""))
        row = workloads.without_peers(row_named("W7 1x8"), ())
        self.assertEqual((len(row.contestants), row.base), (4, "unfiltered"), "our own variants are no peers")

    def test_ids_are_unique(self):
        ids = [row.id for workload in workloads.workloads() for row in workload.rows]
        self.assertEqual(len(ids), len(set(ids)))


def campaign_of(*results, **changes):
    whole = {
        "date": "2026-01-01T00:00:00+00:00",
        "options": {"runs": 3},
        "versions": {"tributary": "v1"},
        "absent": {},
        "machine": {
            "cpu": "a processor",
            "cores": 2,
            "memory_bytes": 1 << 30,
            "kernel": "6.1",
            "system": "Debian",
            "governor": None,
            "virtual": True,
        },
    }
    return store.Campaign(results=list(results), **{**whole, **changes})


class Comparison(unittest.TestCase):
    def text(self, metric, before, after):
        return compare.cell(metrics.METRICS[metric], metrics.summarize(before), metrics.summarize(after))

    def test_ranges_that_overlap_are_no_change(self):
        self.assertEqual(self.text("rate", [90, 100, 110], [110, 120, 130]), "1.20")

    def test_ranges_that_do_not_overlap_are_marked_better_or_worse(self):
        self.assertEqual(self.text("rate", [90, 100, 110], [111, 120, 130]), "1.20 better")
        self.assertEqual(self.text("rate", [90, 100, 110], [70, 80, 89]), "0.800 WORSE")
        self.assertEqual(self.text("cpu", [90, 100, 110], [70, 80, 89]), "0.800 better")
        self.assertEqual(self.text("p99", [90, 100, 110], [150]), "1.50 WORSE")
        self.assertEqual(self.text("p99", [], [150]), "-")

    def test_two_campaigns_are_compared_row_by_row(self):
        before = campaign_of(result_of("W1 4x1", tributary=[run_of(100, 0.5)], raw=[run_of(200)]))
        after = campaign_of(
            result_of("W1 4x1", tributary=[run_of(150, 0.4)]),
            result_of("W1 1x1", tributary=[run_of()]),
            options={"runs": 5},
            failed="W1 1x8: lost",
        )
        text = "\n".join(compare.lines_of(before, after))
        self.assertRegex(text, r"W1 4x1 +tributary +1\.50 better +0\.800 better +1\.00 ")
        for expected in (
            "the options differ: runs 3 and 5",
            "the second campaign failed: W1 1x8: lost",
            "only in the first: W1 4x1 raw",
            "only in the second: W1 1x1 tributary",
        ):
            self.assertIn(expected, text)


class Files(unittest.TestCase):
    def test_a_campaign_is_written_read_and_shown_again(self):
        result = result_of("W7 1x8", unfiltered=[run_of(cpu=0.1)], key=[run_of(cpu=0.05)])
        result.dropped.append({"round": 1, "contestant": "key", "run": run_of(), "why": "busy"})
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/a.json"
            store.write(
                path,
                campaign_of(
                    result, result_of("W1 4x1", tributary=[run_of()]), absent={"nats": "not installed"}
                ),
            )
            again = store.read(path)
        self.assertEqual(again.results[0], result)
        text = "\n".join(report.whole(again))
        for expected in ("W7 1x8 key", "0.50", "1 dropped", "not installed", "a processor, 2 cores"):
            self.assertIn(expected, text)
        self.assertIn("| 1x8 | key |", "\n".join(report.whole(again, markdown=True)))

    def test_options_of_a_contestant_and_the_order_are_kept_and_older_files_can_be_read(self):
        result = result_of("W12 packed 1x8", tributary=[run_of()], guard_off=[run_of()])
        stored = store.row_out(result)
        self.assertEqual(store.row_in(json.loads(json.dumps(stored))), result)
        text = "\n".join(report.whole(campaign_of(result)))
        self.assertIn("W12 packed 1x8 guard off: tributaryd with --guard off", text)
        del stored["mirrored"], stored["contestants"][1]["server"]
        old = store.row_in(stored).row
        self.assertEqual((old.mirrored, old.contestants[1].server), (False, ()))

    def test_a_file_that_is_no_campaign_is_refused_by_name(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "b.json"
            for text, expected in (
                ("{", "no campaign"),
                ("[]", "no campaign"),
                ('{"format": 99}', "format 99"),
                ('{"format": 1}', "no campaign"),
            ):
                path.write_text(text)
                with self.assertRaisesRegex(store.BadFile, f"b.json.*{expected}"):
                    store.read(path)
            with self.assertRaisesRegex(store.BadFile, "No such file"):
                store.read(f"{folder}/none.json")


if __name__ == "__main__":
    unittest.main()
