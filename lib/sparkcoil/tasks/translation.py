"""translation: a text gets its translation; a name such as translation_en_to_fr gives the languages."""

from pydantic import Field

from sparkcoil import generation
from sparkcoil.generation import Seq2seqOptions
from sparkcoil.tasks import Input, Task


class TranslationOptions(Seq2seqOptions):
    """Which languages, for models of many; models of one pair, and T5 with its prefix, leave them unread."""

    src_lang: str | None = Field(default=None, description="language of the texts, as the tokenizer calls it, such as `eng_Latn`")
    tgt_lang: str | None = Field(default=None, description="language of the translation, as the tokenizer calls it")


TASK = Task(
    name="translation",
    inputs=(
        Input("text", ("string",)),
        Input("src_lang", ("string",), required=False),
        Input("tgt_lang", ("string",), required=False),
        *generation.ROW_OPTIONS,
    ),
    prediction=generation.PREDICTION,
    options=TranslationOptions,
    engine="seq2seq",
    heads=generation.SEQ2SEQ_HEADS,
    read=generation.read_prefixed,
    write=generation.write,
    pattern=r"translation_(?P<src_lang>[A-Za-z_]+)_to_(?P<tgt_lang>[A-Za-z_]+)",
)
