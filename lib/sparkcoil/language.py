"""The language of texts, told by py3langid on the executors, offline."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from pyspark.errors import PySparkException
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

from sparkcoil.errors import ConfigError, EnvironmentError_, did_you_mean

# Of 300 English sentences of 40 to 80 characters none was taken for another language, of 219 of 20 to 40 one in six.
LEAST_CHARACTERS = 40
# Of a long text its beginning is enough: reading takes a second for each 250,000 characters.
READ_CHARACTERS = 500
REMEDY = "pip install 'sparkcoil[language]' there"


def check(spark: SparkSession, name: str, language: str) -> None:
    """Pass if the driver and the executors can tell a language; raises ConfigError or EnvironmentError_."""
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]
    except ImportError:
        raise EnvironmentError_(f"gates.language: the driver has no py3langid; {REMEDY}") from None
    known = list(map(str, LanguageIdentifier.from_model_file(MODEL_FILE).labels))
    if language not in known:
        raise ConfigError(name, [f"gates.language: a language that cannot be told, found {language!r}{did_you_mean(language, known)}"])
    slots = spark.sparkContext.defaultParallelism
    text = F.lit("A sentence that is long enough for its language to be told.")
    try:
        spark.range(0, slots, numPartitions=slots).select(language_of(text)).collect()
    except PySparkException as error:
        raise EnvironmentError_(f"gates.language: an executor cannot load py3langid; {REMEDY}") from error


def language_of(text: Column) -> Column:
    """Return the two letters of a text's language, NULL for one that is too short to tell."""
    least, read = LEAST_CHARACTERS, READ_CHARACTERS

    # It travels by value: executors have no sparkcoil but in the model that the scorer loads.
    def told(texts: Iterator[pd.Series]) -> Iterator[pd.Series]:
        import pandas
        import py3langid  # type: ignore[import-untyped]

        def one(content: Any) -> str | None:
            return str(py3langid.classify(content[:read])[0]) if content is not None and len(content.strip()) >= least else None

        for each in texts:
            yield pandas.Series([one(content) for content in each], dtype=object)

    return pandas_udf(told, "string")(text)  # type: ignore[call-overload, no-any-return]
