"""What an option may say of a text longer than the model reads. Knows nothing of Spark or torch."""

from typing import Annotated, Literal

from pydantic import Field

Cut = Annotated[
    Literal["truncate_right", "truncate_left", "fail"],
    Field(description="which end of an over-long text is cut, or `fail` to fail the row"),
]
CutOrStride = Annotated[
    Literal["truncate_right", "truncate_left", "stride", "fail"],
    Field(description="which end of an over-long text is cut, or `stride` to read it in overlapping windows, or `fail` to fail the row"),
]
Stride = Annotated[
    Literal["stride", "fail"],
    Field(description="`stride` to read an over-long text in overlapping windows, or `fail` to fail the row"),
]
Kept = Annotated[int | None, Field(ge=1, description="tokens kept of a text; by default all that the model can read")]
SHARED_TOKENS = "with `truncation: stride`, tokens that neighbouring windows share; a quarter by default"
