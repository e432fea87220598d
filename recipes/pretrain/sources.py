"""Where the training pairs of a run come from."""

from __future__ import annotations

from collections.abc import Sequence

from motion_data.errors import DataError
from motion_data.manifest import Corpus, PairSource
from recipes.pretrain.config import DataSection


def training_sources(corpora: Sequence[Corpus], data: DataSection) -> list[PairSource]:
    """The corpora, or in place of the constructed ones their pairs without end.

    Raises:
        DataError: pairs without end are asked for where no corpus is constructed, or one has changed.
    """
    if not data.endless:
        return list(corpora)
    from motion_data.corpora.constructed.endless import open_endless

    constructed = [corpus.info.get("corpus") == "constructed" for corpus in corpora]
    if not any(constructed):
        raise DataError(
            "data.endless is true, and none of data.corpora is a constructed corpus: only these have pairs "
            "without end; add one, or leave data.endless out"
        )
    return [
        open_endless(corpus, data.pairs_per_epoch) if made else corpus
        for corpus, made in zip(corpora, constructed, strict=True)
    ]
