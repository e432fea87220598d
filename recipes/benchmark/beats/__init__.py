"""Beats and downbeats of ``motionbeat beats`` against other trackers, on several data sets.

    python -m recipes.benchmark beats OUT --sets data/dev_pop909 data/constructed:dev -u new=new.safetensors

A SET is a data set of beat tracking (a folder with ``splits.csv``, or audio with .beats files beside it) or a
prepared corpus of motionbeat data; ``:train``, ``:dev`` or ``:test`` after it takes one split. Pairs of a
corpus that are cut from one audio file are joined: trackers get the whole file and are scored where there are
pairs. Pairs whose grid was estimated from the audio alone are left out; those of the corpus recordings were
labelled by a model's activations on a measured tatum, which is weaker evidence than an annotation.
``--tempo MIN MAX`` plays each recording at another tempo, by resampling.

A TRACKER is one of:

    NAME        a checkpoint given as -u NAME=FILE: the grid of motionbeat beats -k FILE
    shipped     the model that ships: the grid of motionbeat beats
    rules       the grid without weights
    librosa     librosa's beat_track, which has no downbeats
    madmom      RNN and DBN of 2016 (Böck, Krebs, Widmer), run by the Python that --madmom names
    peaks:NAME  peak picking on the activations of a checkpoint with beat heads
    dbn:NAME    the bar-pointer model of 2016 on the same activations

Written to OUT: table.md, results.jsonl (a run for each set and tracker, a row for each recording and measure;
see recipes/results/record.py) and, with --reliability, reliability.png.

Scores are F (±70 ms), CMLt and AMLt with the first 5 s left out, and the
estimated tempo over the annotated one, both by the median interval; an octave error is a tempo within 4 % of
the double, half, triple or third. Intervals are 95 % bootstrap over pieces.

Estimates are kept in OUT/estimates by the content of the audio, the weights and the code of the tracker, so
that another tracker costs only its own time, and an interrupted command goes on where it was.
"""
