"""How far a training has come, in words."""

from geoexplain.training.progress import Progress


def describe_progress(progress: Progress, unit: str = "views") -> str:
    """Resolution, loss, speed and time left in words."""
    hours, minutes = divmod(round(progress.left_s / 60), 60)
    left = f"{hours} h {minutes} min" if hours else f"{minutes} min"
    return f"{progress.size_px} px, loss {progress.loss:.3f}, {progress.per_s:.0f} {unit}/s, {left} left"
