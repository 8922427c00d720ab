"""The options of the command line; a misspelt key or a wrong type is an error."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from offprints.app import RunConfig

from relational_rl.boxworld.spec import BoxWorldSpec
from relational_rl.imitation import ImitationOptions
from relational_rl.learner import VTraceOptions
from relational_rl.nets import AgentOptions
from relational_rl.sc2.config import SC2Config


@dataclass
class WorldConfig:
    """Which Box-World.

    Attributes:
        size: rows and columns of the room.
        solution_lengths: numbers of boxes on the way to the gem, each as likely.
        forward: numbers of branches that lead away from it, each as likely.
        branch_length: boxes of such a branch.
        backward: numbers of boxes with a key of the solution behind a foreign lock.
        max_steps: an episode is cut off at this step.
        colours: of keys and locks, up to 20.
        withheld: null; train keeps some pairs of colours off the solutions; test asks for one of them.
        withheld_pairs: how many pairs of colours are withheld.
        palette: authors or distinct; of levels from files and fixed ones too.
    """

    size: int = 8
    solution_lengths: list[int] = field(default_factory=lambda: [1, 2])
    forward: list[int] = field(default_factory=lambda: [0, 1])
    branch_length: int = 1
    backward: list[int] = field(default_factory=lambda: [0])
    max_steps: int = 80
    colours: int = 20
    withheld: str | None = None
    withheld_pairs: int = 12
    palette: str = "authors"

    def spec(self, **changes: object) -> BoxWorldSpec:
        """The same, checked."""
        options = {**asdict(self), **changes}
        lists = {name: tuple(value) for name, value in options.items() if isinstance(value, (list, tuple))}
        return BoxWorldSpec(**{**options, **lists})


@dataclass
class EvaluationConfig:
    """What the agents are tried on.

    Attributes:
        levels: held-out levels of the training distribution that the test figures are from.
        choose_levels: other held-out levels, that the epoch is chosen by; 0 keeps the last epoch of each stage.
        longer: solution lengths never trained on, each tried on `levels` levels of its own; empty for none.
        files: files of levels (.npz) for the task evaluate; without any, and without `fixed`, levels are drawn by `world`.
        fixed: names of the fixed levels of the authors' generator, which are looked for in the folder boxworld of the data folder.
        at_most: levels of each file that are played, from its beginning; 0 for all.
        extra_steps: added to the step limit of levels from files, for longer solutions.
    """

    levels: int = 256
    choose_levels: int = 128
    longer: list[int] = field(default_factory=lambda: [3])
    files: list[str] = field(default_factory=list)
    fixed: list[str] = field(default_factory=list)
    at_most: int = 0
    extra_steps: int = 0


@dataclass
class LevelsConfig:
    """What the task levels does.

    Attributes:
        count: levels to draw.
        file: where they go; null puts levels.npz into the run directory.
    """

    count: int = 1000
    file: str | None = None


@dataclass
class Config(RunConfig):
    """The options of relational-rl.

    Attributes:
        agents: kinds of agents that the task train trains one after the other: relational, control, plain.
        world: which Box-World.
        model: the relational agent's network; the others take its stem and head.
        control_blocks: residual blocks of the control agent.
        learn: the stages of training, in their order: imitation, vtrace.
        training: imitation of the planner.
        reinforcement: learning by V-trace.
        evaluation: what the agents are tried on.
        levels: the task levels.
        throughput_steps: steps of 1,024 environments that are timed; 0 leaves it out.
        sc2: the tasks on StarCraft II.
    """

    agents: list[str] = field(default_factory=lambda: ["relational", "control"])
    world: WorldConfig = field(default_factory=WorldConfig)
    model: AgentOptions = field(default_factory=AgentOptions)
    control_blocks: int = 3
    learn: list[str] = field(default_factory=lambda: ["imitation", "vtrace"])
    training: ImitationOptions = field(default_factory=ImitationOptions)
    reinforcement: VTraceOptions = field(default_factory=VTraceOptions)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    levels: LevelsConfig = field(default_factory=LevelsConfig)
    throughput_steps: int = 2000
    sc2: SC2Config = field(default_factory=SC2Config)
