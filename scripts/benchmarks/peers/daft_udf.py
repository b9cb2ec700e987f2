"""Daft's class UDF around the pipeline, over a Parquet file, on both CPUs; prints the seconds from reading to the written file."""

import sys
import time

import daft
import torch
import transformers
from daft import Series

SOURCE, CHECKPOINT, TARGET = sys.argv[1:4]
ROUNDS, BATCH = map(int, sys.argv[4:6])


@daft.udf(return_dtype=daft.DataType.string(), batch_size=64, concurrency=2)
class Labeller:
    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.pipe = transformers.pipeline("text-classification", model=CHECKPOINT, truncation=True)

    def __call__(self, texts: Series) -> list[str]:
        return [each["label"] for each in self.pipe(texts.to_pylist(), batch_size=BATCH)]


for number in range(ROUNDS):
    started = time.perf_counter()
    daft.read_parquet(SOURCE).into_partitions(8).with_column("label", Labeller(daft.col("text"))).write_parquet(f"{TARGET}/{number}")
    print("seconds", time.perf_counter() - started, flush=True)
