"""Commits rows to a table, one by one, each under sparkcoil's lease: `committer.py TARGET NAME COMMITS`."""

import random
import sys
import time

import sparkcoil
from sparkcoil import lease
from sparkcoil.errors import TargetBusy


def main() -> None:
    """Append a row so many times; each waits until nobody else holds the table."""
    target, name, commits = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    settings = {"spark.master": "local[1]", "spark.driver.memory": "512m", "spark.sql.shuffle.partitions": "1"}
    spark = sparkcoil.start_session(settings, name="committer")
    done = 0
    while done < commits:
        row = spark.createDataFrame([(name * 1_000 + done,)], "id BIGINT").coalesce(1)
        try:
            with lease.held(spark, target, f"{name}-{done}"):
                row.write.format("delta").mode("append").save(target)
        except TargetBusy:
            time.sleep(random.uniform(0.1, 0.5))  # a driver that asks again at once takes the time that the one that writes needs
            continue
        done += 1
    print(done)


if __name__ == "__main__":
    main()
