"""Compare the beats and downbeats of ``motionbeat beats`` with other trackers on several data sets.

    python -m recipes.benchmark beats OUT --sets data/dev_pop909 data/constructed:dev -u new=new.safetensors

A SET is a data set of beat tracking (a folder with ``splits.csv``, or audio with .beats files) or a prepared
corpus of motionbeat data; ``:train``, ``:dev`` or ``:test`` selects a split. Pairs of a corpus from the same
audio file are
joined: trackers get the whole file and are scored within the pairs. Pairs whose grid was estimated from the
    audio are left out. Those of the corpus recordings were labelled by the activations of a model on a
    measured tatum, which is weaker evidence than an annotation. ``--tempo MIN MAX`` changes the tempo of each
    recording by resampling.

A TRACKER is one of:

    NAME        a checkpoint given as -u NAME=FILE: the grid of motionbeat beats -k FILE
    shipped     the packaged model: the grid of motionbeat beats
    rules       the grid without weights
    librosa     librosa's beat_track, which has no downbeats
    madmom      RNN and DBN of 2016 (Böck, Krebs, Widmer), in the Python environment of --madmom
    peaks:NAME  peak picking on the activations of a checkpoint with beat heads
    dbn:NAME    the bar-pointer model of 2016 on the same activations

OUT contains table.md, results.jsonl (a run for each set and tracker, a row for each recording and measure;
see recipes/results/record.py) and, with --reliability, reliability.png.

Scores are F (±70 ms), CMLt and AMLt without the first 5 s, and the ratio of the estimated to the annotated
tempo, both by the median interval; an octave error is a tempo within 4 % of the double, half, triple or
third. Intervals are 95 % bootstrap over pieces.

Estimates are cached in OUT/estimates by the content of the audio, the weights and the code of the tracker.
Further trackers take only their own time, and an interrupted command can be resumed.
"""
