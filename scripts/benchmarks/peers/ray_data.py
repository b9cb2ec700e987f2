"""Ray Data's `map_batches` around the pipeline, over a Parquet file, on both CPUs; prints the seconds from reading to the written file."""

import sys
import time

import pandas as pd
import ray
import torch
import transformers

SOURCE, CHECKPOINT, TARGET = sys.argv[1:4]
ROUNDS, BATCH = map(int, sys.argv[4:6])


class Labeller:
    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.pipe = transformers.pipeline("text-classification", model=CHECKPOINT, truncation=True)

    def __call__(self, batch: pd.DataFrame) -> pd.DataFrame:
        return batch.assign(label=[each["label"] for each in self.pipe(batch["text"].tolist(), batch_size=BATCH)])


# Reading and writing take slots too; with two, the two who label would leave none.
ray.init(num_cpus=4, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
for number in range(ROUNDS):
    started = time.perf_counter()
    rows = ray.data.read_parquet(SOURCE).repartition(8)
    scored = rows.map_batches(Labeller, batch_format="pandas", batch_size=64, concurrency=2)
    scored.write_parquet(f"{TARGET}/{number}")
    print("seconds", time.perf_counter() - started, flush=True)
