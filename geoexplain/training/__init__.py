"""Train a geolocator on photos (`photo_set`) or views of Earth (`ViewSource`), and release it as a model.

    photos = photo_set(collection, train_rows, validation_rows, partitioning)
    run = train(photos, PRESETS["quick-cpu"], "runs/mine", report=print)
    done = release(run, PhotoExamples(photos, "mine", test_rows), "runs/mine/release")

A source yields batches of images with their true cells and positions. Network, losses, phases, weight averaging,
resuming, validation, multi-process training and release are the same for every source. Nothing here needs a browser or
a map library.
"""

from geoexplain.training.loop import Progress, TrainingCancelledError, train
from geoexplain.training.other_pictures import OtherPictures
from geoexplain.training.photo_augmentation import Augmentation
from geoexplain.training.photo_release import PhotoExamples
from geoexplain.training.photos import PhotoSet, photo_set
from geoexplain.training.release import Release, release
from geoexplain.training.run import Run
from geoexplain.training.settings import PRESETS, VIEW_TRAINING, Phase, Training
from geoexplain.training.start import begin
from geoexplain.training.view_release import ViewExamples, view_examples
from geoexplain.training.views import ViewSource, validation_sets, view_partitioning

__all__ = [
    "PRESETS",
    "VIEW_TRAINING",
    "Augmentation",
    "OtherPictures",
    "Phase",
    "PhotoExamples",
    "PhotoSet",
    "Progress",
    "Release",
    "Run",
    "Training",
    "TrainingCancelledError",
    "ViewExamples",
    "ViewSource",
    "begin",
    "photo_set",
    "release",
    "train",
    "validation_sets",
    "view_examples",
    "view_partitioning",
]
