# Reads metrics with Prometheus' own parser, and checks that they agree with each other: check_metrics.py COMMAND...
# SPDX-License-Identifier: BSL-1.0
import math
import subprocess
import sys

try:
    from prometheus_client.parser import text_string_to_metric_families
except ImportError:
    print("skipped: there is no prometheus_client (Debian: python3-prometheus-client)")
    sys.exit(77)

text = subprocess.run(sys.argv[1:], check=True, stdout=subprocess.PIPE).stdout.decode("utf-8")
families = list(text_string_to_metric_families(text))
names = [family.name for family in families]
assert len(names) == len(set(names)), f"described twice: {names}"
assert text.count("# TYPE ") == text.count("# HELP ") == len(families) == 10, names

seen = set()
value = {}
for family in families:
    assert family.documentation and family.type in ("counter", "gauge", "histogram"), family
    for sample in family.samples:
        labels = tuple(sorted(sample.labels.items()))
        assert (sample.name, labels) not in seen, f"twice: {sample}"
        seen.add((sample.name, labels))
        value[sample.name, labels] = sample.value

batchers = sorted({dict(labels)["batcher"] for _, labels in seen})
assert batchers == ['a "busy" \\one\nof two lines', "idle"], batchers
for batcher in batchers:
    of = (("batcher", batcher),)
    count = {}
    for family in families:
        if family.type != "histogram":
            continue
        buckets = [
            (float(sample.labels["le"]), sample.value)
            for sample in family.samples
            if sample.name.endswith("_bucket") and sample.labels["batcher"] == batcher
        ]
        assert buckets == sorted(buckets) and buckets[-1][0] == math.inf, buckets
        assert [c for _, c in buckets] == sorted(c for _, c in buckets), f"not cumulative: {buckets}"
        count[family.name] = value[family.name + "_count", of]
        assert count[family.name] == buckets[-1][1]
        assert value[family.name + "_sum", of] >= 0
    by_reason = sum(
        number
        for (name, labels), number in value.items()
        if name == "batching_batches_total" and dict(labels)["batcher"] == batcher
    )
    items = value["batching_items_total", of]
    expected = 200 if batcher != "idle" else 0
    assert by_reason == count["batching_batch_size"] == count["batching_run_time_seconds"] == expected, by_reason
    assert items == value["batching_batch_size_sum", of] == count["batching_queue_time_seconds"], items
    assert value["batching_failed_items_total", of] == (4 if expected else 0)
    assert value["batching_running_batches", of] == 0
print(f"{len(families)} families, {len(seen)} samples, {len(batchers)} batchers")
