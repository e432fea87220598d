"""Other people's encoders as upstreams, from folders that the user has downloaded; nothing is fetched.

One needs no folder: the numbers of librosa that dances were generated from before there were encoders.
"""

from collections.abc import Callable, Mapping

from recipes.encoders.conformers import muq_local, musicfm_local
from recipes.encoders.edge_librosa import edge_librosa
from recipes.encoders.hf_audio import hf_audio_local, mert_local
from recipes.encoders.waveform_upstream import WaveformUpstream

ENTRIES: Mapping[str, Callable[..., WaveformUpstream]] = {
    "edge_librosa": edge_librosa,
    "hf_audio_local": hf_audio_local,
    "mert_local": mert_local,
    "muq_local": muq_local,
    "musicfm_local": musicfm_local,
}
"""As S3PRL's hub is to call them."""
