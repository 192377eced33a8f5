"""How much of everything a build of the bundled model does: one frozen table per kind of machine.

Knows nothing of how the stages work. `PROFILES["cpu"]` is what two cores manage in an evening,
`PROFILES["gpu"]` what one large GPU does in about half an hour, `PROFILES["smoke"]` what a test can wait for.
"""

from dataclasses import dataclass
from pathlib import Path

TOLD = "timed.json"  # in a stage's folder: what builds within minutes did to it


@dataclass(frozen=True, kw_only=True)
class BuildSettings:
    """One build. Steps are optimizer steps; a batch is the sum over all worker processes."""

    pictures: int  # rendered training pictures
    held_out_pictures: int = 200  # rendered, never trained on; for PSNR and accuracies
    size: int = 256  # px; the model's own picture size
    seed: int = 0
    device: str = "cpu"
    workers: int = 2  # CPU processes, one thread each: measured faster than one process with two threads
    compile: bool = True  # torch.compile the UNet; 1.28x on two cores, after two minutes of compiling

    clip_steps: int = 1_400
    clip_batch: int = 64
    clip_width: int = 128  # vision tower
    clip_patch: int = 32  # px; enough to teach the text towers, which is what this stage is for

    vision_steps: int = 900
    vision_batch: int = 48
    vision_width: int = 128
    vision_layers: int = 5
    vision_patch: int = 16  # px; sees small emblems, and costs a CPU five times as much as 32

    vae_steps: int = 10_000
    vae_channels: tuple[int, ...] = (32, 64, 96)
    vae_scale: float = 1.0  # multiplies every batch size of the VAE's crop schedule

    unet_steps: int = 9_600
    unet_decay_steps: int = 1_600  # the last steps, over which the learning rate falls to 3 %
    unet_batch: int = 32
    unet_channels: tuple[int, ...] = (32, 64, 160, 288)
    unet_learning_rate: float = 1e-3
    unet_windows: bool = True  # every third step shows windows around emblems instead of whole pictures
    unet_freeze_lowest: bool = False  # a third of the weights learns on from a trained model, the rest stays
    photo_share: float = 0.0  # of the UNet's batch, when real photos are given

    judge_steps: int = 3_000
    judge_prompts: int = 300

    @property
    def vae_factor(self) -> int:
        """How many pixels a side of one latent cell covers."""
        return 1 << (len(self.vae_channels) - 1)

    @property
    def latent_side(self) -> int:
        """Cells a side of a picture's latents."""
        return self.size // self.vae_factor


@dataclass(frozen=True, kw_only=True)
class TimedSettings:
    """A build within minutes (`build-mini --minutes`): how much it holds and how large its batches are."""

    minutes: float
    tail_seconds: float = 40.0  # of these minutes: for saving, packing and the contact sheet
    device: str = "cpu"
    size: int = 256  # px
    seed: int = 0
    workers: int = 1  # processes that render
    compile: bool = False
    capacity: int = 4_000  # examples held on the device
    first_examples: int = 256  # training waits for so many

    vae_share: float = 0.2  # of the time
    vae_channels: tuple[int, ...] = (32, 64, 96)
    vae_scale: float = 1.0  # multiplies the batch sizes of the VAE's crops
    vae_rate: float = 1.0  # multiplies its learning rate

    unet_channels: tuple[int, ...] = (32, 64, 160, 288)
    unet_batch: int = 8
    unet_rate: float = 1e-3
    unet_decay: float = 0.45  # share of the UNet's time over which its rate falls
    unet_rollouts: float = (
        0.4  # the last share of its time, in which it learns on its own way (`mini.rollouts`)
    )
    unet_adversarial: float = 0.2  # the last share, in which it plays against a critic (`mini.adversarial`),
    least_adversarial_seconds: float = 300.0  # if that is so long: the critic needs a start of its own
    unet_freeze_lowest: bool = False  # two thirds of the weights stay what they are

    @property
    def vae_factor(self) -> int:
        """How many pixels a side of one latent cell covers."""
        return 1 << (len(self.vae_channels) - 1)

    @property
    def latent_side(self) -> int:
        """Cells a side of a picture's latents."""
        return self.size // self.vae_factor


TIMED: dict[str, TimedSettings] = {
    "cpu": TimedSettings(minutes=60),
    "cuda": TimedSettings(
        minutes=9,
        tail_seconds=14.0,
        device="cuda",
        compile=True,
        capacity=120_000,
        first_examples=2_000,
        vae_scale=12.0,
        unet_batch=256,
        least_adversarial_seconds=30.0,
    ),
}

PROFILES: dict[str, BuildSettings] = {
    "cpu": BuildSettings(pictures=13_000),
    "gpu": BuildSettings(
        pictures=100_000,
        device="cuda",
        workers=1,
        clip_steps=6_000,
        clip_batch=256,
        vision_steps=8_000,
        vision_batch=256,
        vae_steps=12_000,
        vae_scale=4.0,
        unet_steps=20_000,
        unet_decay_steps=5_000,
        unet_batch=256,
        photo_share=0.05,
        judge_steps=6_000,
    ),
    "smoke": BuildSettings(
        pictures=64,
        held_out_pictures=16,
        size=64,
        workers=1,
        compile=False,
        clip_steps=3,
        clip_batch=8,
        clip_width=32,
        clip_patch=16,
        vision_steps=3,
        vision_batch=8,
        vision_width=32,
        vision_layers=1,
        vae_steps=3,
        vae_channels=(8, 8, 16, 16),
        unet_steps=3,
        unet_decay_steps=1,
        unet_batch=4,
        unet_channels=(16, 32, 64),
        judge_steps=3,
        judge_prompts=4,
    ),
}


@dataclass(frozen=True, kw_only=True)
class BuildFolder:
    """Where a build keeps what it made so far; every stage resumes from here."""

    root: Path

    def stage(self, name: str) -> Path:
        """Folder of one stage, made if it is not there."""
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def pictures(self) -> Path:
        return self.stage("pictures")

    @property
    def model(self) -> Path:
        """The finished pipeline folder, as it is shipped."""
        return self.stage("mini")
