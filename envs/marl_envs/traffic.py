"""Traffic: cars that come, drive through crossings and go, and lights that act on a slower clock.

A main road runs east through ``num_lights`` crossings; at each a side road runs south::

             side 0      side 1
               |           |
    main ------+-----------+------> east
               |           |
               v           v

Cars enter where the first cell of a road is free, drive one cell a tick or wait, and leave by the road's end.
A car that stands in the way masks "drive" for the car behind. Two cars that enter a crossing in the same
tick crash. A light shows green to one of its two roads; running a red light is possible and fined.

In one tick: cars move under the lights that they saw, crashes and exits are settled, due lights switch,
cars that were too long on the road are towed, new cars enter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from marl.env import AgentDict, BaseMultiAgentEnv, ResetReturn, StepReturn
from marl.errors import ConfigError, EnvError, MaskError, Problem

from .drawing import BLUE, GREEN, GREY, RED, canvas, disc, rectangle

WAIT, DRIVE = 0, 1
MAIN_GREEN, SIDE_GREEN = 0, 1
TICK_REWARD = -0.1
EXIT_REWARD = 1.0
RED_LIGHT_REWARD = -0.5
CRASH_REWARD = -1.0
WAITING_REWARD = -0.1  # paid to a light at each tick for each car that stood on its approaches
PASSED_REWARD = 0.2  # paid to a light for each car that enters its crossing unharmed
CELL_PIXELS = 16

Cell = tuple[int, int]


@dataclass(frozen=True)
class Road:
    """A one-way road: its cells in order, and at which places it meets which crossing."""

    cells: tuple[Cell, ...]
    crossings: dict[int, int]  # place on the road -> light
    green_phase: int  # the phase that lets this road go


@dataclass
class Car:
    """A car's life: where it is, for how many ticks it has been there, whether it stood still in the last one."""

    road: int
    place: int = 0
    ticks: int = 0
    stood: bool = False


class Traffic(BaseMultiAgentEnv):
    """Agents are ``car_0`` … (their ids come back with new lives) and ``traffic_light_0`` ….

    A car is due at every tick of its life. It sees ``{"observation": float32 [6], "action_mask": int8 [2]}``:
    on the main road or not, place (share of the road), cells to the next crossing (share of a block; 1 if none
    is ahead), whether that crossing is green for it (1 if none), whether the cell ahead is free, ticks spent
    (share of ``patience``). Action 0 waits, 1 drives. A tick costs 0.1, running a red light 0.5;
    leaving by the road's end pays 1 and terminates (``end_cause`` "goal"); a crash costs 1 and terminates both.
    ``patience`` ticks truncate a car, with its last observation (``end_cause`` "clock").

    A light is due at the start and then every ``light_period`` ticks, light j being j ticks ahead, but is
    **paid at every tick**: -0.1 for each car that stood on one of its two approaches, 0.2 for each that entered its
    crossing, -1 for each crash there. It sees ``float32 [6]``: main green, side green, cars on the approach
    of the main and of the side road (shares of a block), whether the crossing is taken, ticks since its last choice
    (share of the period). Action 0 gives green to the main road, 1 to the side road.

    ``horizon`` ticks truncate everybody, due or not, with a last observation.

    Args:
        num_lights: crossings, and side roads.
        max_cars: ids of cars, so the most that drive at once.
        block: cells before and after each crossing.
        arrivals: probability that a car enters a road whose first cell is free, each tick and road.
        light_period: ticks between two choices of a light.
        patience: ticks after which a car is towed.
        horizon: ticks an episode.
    """

    def __init__(
        self,
        num_lights: int = 2,
        max_cars: int = 6,
        block: int = 4,
        arrivals: float = 0.25,
        light_period: int = 4,
        patience: int = 40,
        horizon: int = 100,
    ) -> None:
        limits = {"num_lights": num_lights, "max_cars": max_cars, "block": block, "light_period": light_period}
        limits |= {"patience": patience, "horizon": horizon}
        problems = [Problem(key, f"is {value}", "must be at least 1") for key, value in limits.items() if value < 1]
        if not 0.0 <= arrivals <= 1.0:
            problems.append(Problem("arrivals", f"is {arrivals}", "a probability lies between 0 and 1"))
        if problems:
            raise ConfigError(problems)
        self._block, self._arrivals, self._period = block, arrivals, light_period
        self._patience, self._horizon = patience, horizon
        self._roads = _roads(num_lights, block)
        self._car_ids = [f"car_{place}" for place in range(max_cars)]
        self._light_ids = [f"traffic_light_{place}" for place in range(num_lights)]
        self.possible_agents = [*self._car_ids, *self._light_ids]
        six = spaces.Box(0.0, 1.0, (6,), np.float32)
        car_space = spaces.Dict({"observation": six, "action_mask": spaces.Box(0, 1, (2,), np.int8)})
        self.observation_spaces = {**dict.fromkeys(self._car_ids, car_space), **dict.fromkeys(self._light_ids, six)}
        self.action_spaces = dict.fromkeys(self.possible_agents, spaces.Discrete(2))
        num_cells = sum(len(road.cells) for road in self._roads)
        self.global_state_space = spaces.Box(0.0, 1.0, (num_cells + num_lights + 1,), np.float32)
        self.metadata = {"name": "traffic-v1", "render_fps": 5}
        self.render_mode = "rgb_array"
        self._rng = np.random.default_rng()
        self._cars: dict[str, Car] = {}
        self._taken: dict[Cell, str] = {}
        self._phases = [MAIN_GREEN] * num_lights
        self._since = [0] * num_lights
        self._due_lights: list[int] = []
        self._tick = 0

    # ------------------------------------------------------------------ the protocol

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> ResetReturn:
        """Begin with empty roads, one tick's arrivals and main roads green; without a seed the last generator goes on."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self._cars, self._taken = {}, {}
        self._phases = [MAIN_GREEN] * len(self._light_ids)
        self._since = [0] * len(self._light_ids)
        self._due_lights = list(range(len(self._light_ids)))
        self._tick = 0
        self._arrive(gone=())
        return self._observe_due(), {}

    def step(self, actions: AgentDict, /) -> StepReturn:
        self._tick += 1
        rewards: dict[str, float] = {**dict.fromkeys(self._cars, TICK_REWARD), **dict.fromkeys(self._light_ids, 0.0)}
        left, crashed = self._move(actions, rewards)
        self._switch(actions)
        towed = [name for name, car in self._cars.items() if car.ticks >= self._patience]

        observations: AgentDict = {name: self._seen_by_car(car, over=True) for name, car in {**left, **crashed}.items()}
        observations |= {name: self._seen_by_car(self._cars[name]) for name in towed}
        for name in towed:
            car = self._cars.pop(name)
            del self._taken[self._roads[car.road].cells[car.place]]
        infos: AgentDict = {name: {"end_cause": "goal"} for name in left} | {name: {"end_cause": "clock"} for name in towed}

        over = self._tick >= self._horizon
        self._due_lights = [light for light in range(len(self._light_ids)) if over or (self._tick + light) % self._period == 0]
        if not over:
            self._arrive(gone=observations)
        observations |= self._observe_due()
        terminateds = dict.fromkeys(observations, False) | dict.fromkeys([*left, *crashed], True)
        truncateds = {name: (over or name in towed) and not terminateds[name] for name in observations}
        return observations, rewards, terminateds | {"__all__": False}, truncateds | {"__all__": over}, infos

    def global_state(self) -> NDArray[np.float32]:
        """Every cell of every road (1: a car stands there), the lights' phases, and the share of the horizon gone."""
        cells = [float(cell in self._taken) for road in self._roads for cell in road.cells]
        return np.array([*cells, *self._phases, min(self._tick / self._horizon, 1.0)], np.float32)

    def render(self) -> NDArray[np.uint8]:
        """The map from above, ``uint8 [H, W, 3]``: cars blue, each crossing's corners in the colour that each road sees."""
        rows = 1 + max(cell[0] for road in self._roads for cell in road.cells)
        columns = 1 + max(cell[1] for road in self._roads for cell in road.cells)
        frame = canvas(rows * CELL_PIXELS, columns * CELL_PIXELS, (110, 150, 90))
        for road in self._roads:
            for row, column in road.cells:
                rectangle(frame, row * CELL_PIXELS, column * CELL_PIXELS, (row + 1) * CELL_PIXELS, (column + 1) * CELL_PIXELS, GREY)
        for road in self._roads:
            for place, light in road.crossings.items():
                row, column = road.cells[place - 1]
                colour = GREEN if self._phases[light] == road.green_phase else RED
                disc(frame, (row + 0.5) * CELL_PIXELS, (column + 0.5) * CELL_PIXELS, CELL_PIXELS * 0.45, colour, hole=CELL_PIXELS * 0.33)
        for row, column in self._taken:
            disc(frame, (row + 0.5) * CELL_PIXELS, (column + 0.5) * CELL_PIXELS, CELL_PIXELS * 0.3, BLUE)
        return frame

    # ------------------------------------------------------------------ one tick

    def _move(self, actions: AgentDict, rewards: dict[str, float]) -> tuple[dict[str, Car], dict[str, Car]]:
        """Move every car; returns those that left and those that crashed, taken off the road."""
        driving = [name for name, car in self._cars.items() if self._drives(name, car, actions)]
        entered: dict[Cell, list[str]] = {}
        left: dict[str, Car] = {}
        for name in driving:
            car = self._cars[name]
            road = self._roads[car.road]
            del self._taken[road.cells[car.place]]
            car.place += 1
            if car.place == len(road.cells):
                left[name] = self._cars.pop(name)
                rewards[name] = EXIT_REWARD
                continue
            entered.setdefault(road.cells[car.place], []).append(name)
            light = road.crossings.get(car.place)
            if light is not None and self._phases[light] != road.green_phase:
                rewards[name] += RED_LIGHT_REWARD
        crashed: dict[str, Car] = {}
        for cell, names in entered.items():
            if len(names) == 1:
                self._taken[cell] = names[0]
            else:
                crashed |= {name: self._cars.pop(name) for name in names}
            self._pay_light(names, len(names) > 1, crashed, rewards)
        for name, car in self._cars.items():
            car.ticks += 1
            car.stood = name not in driving
            if car.stood and (light := self._approaching(car)) is not None:
                rewards[self._light_ids[light]] += WAITING_REWARD
        for name in crashed:
            rewards[name] += CRASH_REWARD
        return left, crashed

    def _pay_light(self, names: list[str], crash: bool, crashed: dict[str, Car], rewards: dict[str, float]) -> None:
        car = crashed[names[0]] if crash else self._cars[names[0]]
        light = self._roads[car.road].crossings.get(car.place)
        if light is not None:
            rewards[self._light_ids[light]] += CRASH_REWARD if crash else PASSED_REWARD

    def _drives(self, name: str, car: Car, actions: AgentDict) -> bool:
        action = _legal(name, actions)
        if action == DRIVE and not self._free_ahead(car):
            raise MaskError(f"traffic-v1: {name!r} drove into a taken cell at tick {self._tick}; its mask allowed only 0 (wait).")
        return action == DRIVE

    def _switch(self, actions: AgentDict) -> None:
        for light in range(len(self._light_ids)):
            self._since[light] += 1
        for light in self._due_lights:
            self._phases[light] = _legal(self._light_ids[light], actions)
            self._since[light] = 0

    def _arrive(self, gone: Any) -> None:
        """Let cars enter; an id that ended in this call is not used again before the next."""
        for place, road in enumerate(self._roads):
            wants = self._rng.random() < self._arrivals
            name = next((name for name in self._car_ids if name not in self._cars and name not in gone), None)
            if wants and name is not None and road.cells[0] not in self._taken:
                self._cars[name] = Car(place)
                self._taken[road.cells[0]] = name

    # ------------------------------------------------------------------ what is seen

    def _observe_due(self) -> AgentDict:
        seen: AgentDict = {name: self._seen_by_car(car) for name, car in self._cars.items()}
        return seen | {self._light_ids[light]: self._seen_by_light(light) for light in self._due_lights}

    def _seen_by_car(self, car: Car, *, over: bool = False) -> AgentDict:
        road = self._roads[car.road]
        distance, green = 1.0, 1.0
        ahead = next((place for place in road.crossings if place > car.place), None)
        if ahead is not None:
            distance = min((ahead - car.place) / self._block, 1.0)
            green = float(self._phases[road.crossings[ahead]] == road.green_phase)
        free = 0 if over else int(self._free_ahead(car))
        numbers = (car.road == 0, car.place / len(road.cells), distance, green, free, min(car.ticks / self._patience, 1.0))
        return {"observation": np.array(numbers, np.float32), "action_mask": np.array([0 if over else 1, free], np.int8)}

    def _seen_by_light(self, light: int) -> NDArray[np.float32]:
        phase = self._phases[light]
        queues = [0, 0]  # on the main road, on the side road
        for car in self._cars.values():
            if self._approaching(car) == light:
                queues[min(car.road, 1)] += 1
        side = self._roads[1 + light]
        taken = side.cells[self._block] in self._taken
        since = min(self._since[light] / self._period, 1.0)
        numbers = (phase == MAIN_GREEN, phase == SIDE_GREEN, queues[0] / self._block, queues[1] / self._block, taken, since)
        return np.array(numbers, np.float32)

    def _free_ahead(self, car: Car) -> bool:
        cells = self._roads[car.road].cells
        return car.place + 1 >= len(cells) or cells[car.place + 1] not in self._taken

    def _approaching(self, car: Car) -> int | None:
        """The light within a block ahead of the car, or None."""
        for place, light in self._roads[car.road].crossings.items():
            if 0 < place - car.place <= self._block:
                return light
        return None


def _roads(num_lights: int, block: int) -> list[Road]:
    """The main road, then the side roads. Crossing j is ``block`` cells after crossing j - 1 (or the entry)."""
    columns = [block + light * (block + 1) for light in range(num_lights)]
    main = tuple((block, column) for column in range(columns[-1] + block + 1))
    roads = [Road(main, {column: light for light, column in enumerate(columns)}, MAIN_GREEN)]
    for light, column in enumerate(columns):
        roads.append(Road(tuple((row, column) for row in range(2 * block + 1)), {block: light}, SIDE_GREEN))
    return roads


def _legal(name: str, actions: AgentDict) -> int:
    if name not in actions:
        raise EnvError(f"traffic-v1: no action for {name!r}, which was due; actions came for {sorted(map(str, actions))}.")
    action = int(actions[name])
    if action not in (0, 1):
        raise EnvError(f"traffic-v1: {name!r} played {action}; legal are 0 and 1.")
    return action
