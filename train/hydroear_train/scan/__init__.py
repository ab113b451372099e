"""What a folder of recordings holds: its layout, a manifest for training, and an audit of what the recordings prove.

:mod:`~hydroear_train.scan.layouts` reads labels and conditions off names, :mod:`~hydroear_train.scan.folder` finds the
recordings, :mod:`~hydroear_train.scan.measure` hears each of them once, :mod:`~hydroear_train.scan.audit` judges what
was measured and :mod:`~hydroear_train.scan.confounding` asks whether the labels could be told without listening.
:func:`hydroear_train.scan.report.scan` does all of it.
"""
