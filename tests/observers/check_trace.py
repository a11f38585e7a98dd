# Reads a trace with Python's JSON parser, and checks what trace viewers rely on: check_trace.py COMMAND...
# SPDX-License-Identifier: BSL-1.0
import json
import subprocess
import sys
from decimal import Decimal

text = subprocess.run(sys.argv[1:], check=True, stdout=subprocess.PIPE).stdout.decode("utf-8")
trace = json.loads(text, parse_float=Decimal)
events = trace["traceEvents"]
by_phase = {}
for event in events:
    by_phase.setdefault(event["ph"], []).append(event)
assert set(by_phase) == {"M", "X", "s", "f", "C"}, set(by_phase)

names = {}
for event in by_phase["M"]:
    assert isinstance(event["pid"], int) and isinstance(event["tid"], int), event
    if event["name"] == "thread_name":
        assert event["tid"] not in names, f"a track has two names: {event}"
        names[event["tid"]] = event["args"]["name"]
assert len(set(names.values())) == len(names), names
tracks = {name: tid for tid, name in names.items()}
assert [name for name in tracks if name.startswith("partition")] == ["partition 0", "partition 1"], tracks

timed = [event for event in events if event["ph"] != "M"]
times = [event["ts"] for event in timed]
assert times[0] == 0 and times == sorted(times), "not in order of time"

# The slices of a track lie within one another or apart; which one is open at the time of an arrow, is what it binds to.
batches = 0
bound = {"s": {}, "f": {}}
open_slices = {tid: [] for tid in names}
for event in timed:
    if event["ph"] == "C":
        continue
    stack = open_slices[event["tid"]]
    while stack and stack[-1]["ts"] + stack[-1]["dur"] <= event["ts"] and stack[-1]["ts"] < event["ts"]:
        stack.pop()
    if event["ph"] == "X":
        end = event["ts"] + event["dur"]
        while stack and stack[-1]["ts"] + stack[-1]["dur"] <= event["ts"]:
            stack.pop()
        assert event["dur"] >= 0
        assert not stack or end <= stack[-1]["ts"] + stack[-1]["dur"], f"overlaps {stack[-1]}: {event}"
        stack.append(event)
        assert len(stack) < 512, "Perfetto drops what is nested deeper"
        is_batch = names[event["tid"]].startswith("partition")
        assert event["cat"] == ("batch" if is_batch else "call"), event
        batches += is_batch
    else:
        assert stack, f"an arrow at no slice: {event}"
        assert event["id"] not in bound[event["ph"]], f"two arrows with one id: {event}"
        assert event["ph"] == "s" or event["bp"] == "e", event
        bound[event["ph"]][event["id"]] = (event, stack[-1])
assert batches == 200, batches

starts, ends = bound["s"], bound["f"]
assert starts.keys() == ends.keys() and len(starts) == len(by_phase["X"]) - batches
callers = {}
for number, (start, call) in starts.items():
    end, batch = ends[number]
    assert (start["cat"], start["name"]) == (end["cat"], end["name"])
    assert start["ts"] <= end["ts"] and batch["args"]["batch"] == call["args"]["batch"], (call, batch)
    assert call["ts"] == start["ts"] and call["ts"] + call["dur"] <= batch["ts"] == end["ts"], (call, batch)
    callers[call["args"]["batch"]] = callers.get(call["args"]["batch"], 0) + 1
for event in by_phase["X"]:
    if event["cat"] == "batch":
        assert callers[event["args"]["batch"]] == event["args"]["callers"]

errors = {event["args"]["error"] for event in by_phase["X"] if "error" in event["args"]}
assert errors == {'"no"\n\tC:\\path \x01 \u00e9 \ufffd'}, errors
assert trace["otherData"]["dropped_events"] == 0
print(f"{len(events)} events, {batches} batches, {len(starts)} arrows, {len(names)} tracks")
