"""The language of texts, told on the executors."""

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkcoil import language
from sparkcoil.errors import ConfigError

TEXTS = {
    "The train to the north was late again, and nobody on the platform was surprised.": "en",
    "Der Zug nach Norden hatte wieder Verspätung, und niemand auf dem Bahnsteig war überrascht.": "de",
    "Le train pour le nord était encore en retard, et personne sur le quai n'était surpris.": "fr",
    "Too short to tell.": None,
    " " * 60: None,
}


def test_a_text_is_in_its_language_unless_it_is_too_short(spark: SparkSession) -> None:
    frame = spark.createDataFrame([*((text,) for text in TEXTS), (None,)], "text STRING")
    found = {row[0]: row[1] for row in frame.select("text", language.language_of(F.col("text"))).collect()}
    assert found == {**TEXTS, None: None}


def test_a_language_that_cannot_be_told_is_refused_with_the_nearest_that_can(spark: SparkSession) -> None:
    language.check(spark, "demo", "en")
    with pytest.raises(ConfigError, match=r"gates.language: a language that cannot be told, found 'xx'; did you mean 'zxx'\?"):
        language.check(spark, "demo", "xx")
