"""A trip is booked as a whole or not at all: what was booked is cancelled again, the latest first.

    python examples/trip.py [DATABASE]

Kill it at any moment and run it again: it goes on where it stopped, with the booking or with the undoing.
Delete the database (trip.db, unless you named one) to begin anew.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import anyio

from perdure import App, Retry, TerminalError, WorkflowFailed, activity, activity_info, compensate, workflow


@dataclass(frozen=True)
class Trip:
    id: str
    city: str
    nights: int


class NoCar(TerminalError):
    """There is none left. Asking again would not help."""


@activity
async def tell(trip: Trip, text: str) -> None:
    say(f"{trip.id}: {text}")


@activity
async def book_flight(trip: Trip) -> str:
    say(f"{trip.id}: booking a flight to {trip.city}")
    await anyio.sleep(0.2)
    return f"flight-{trip.id}"


@book_flight.compensation
async def cancel_flight(trip: Trip, *, result: str) -> None:
    say(f"{trip.id}: cancelling {result}")


@activity(retry=Retry(attempts=5, initial=0.2))
async def book_hotel(trip: Trip) -> str:
    say(f"{trip.id}: booking {trip.nights} nights in {trip.city}")
    await anyio.sleep(0.2)
    return f"hotel-{trip.id}"


@book_hotel.compensation
async def cancel_hotel(trip: Trip, *, result: str) -> None:
    attempt = activity_info().attempt
    say(f"{trip.id}: cancelling {result}, attempt {attempt}")
    if attempt == 1:  # it is retried by its activity's policy
        raise ConnectionError("the hotel's site is down")


@activity
async def book_car(trip: Trip) -> str:
    say(f"{trip.id}: booking a car")
    if trip.city == "Venice":
        raise NoCar(f"no cars in {trip.city}")
    return f"car-{trip.id}"


@book_car.compensation
async def cancel_car(trip: Trip, *, result: str) -> None:
    say(f"{trip.id}: cancelling {result}")


@workflow
async def travel(trip: Trip) -> list[str]:
    await compensate(tell, trip, "sorry, there will be no trip")  # registered first, so it runs last
    flight = await book_flight(trip)
    hotel = await book_hotel(trip)
    car = await book_car(trip)
    return [flight, hotel, car]


def say(text: str) -> None:
    print(text, flush=True)


async def main() -> None:
    database = sys.argv[1] if len(sys.argv) > 1 else "trip.db"
    async with App(f"sqlite:///{database}", workflows=[travel], lease=1.0) as app:
        for trip in (Trip("trip-1", "Lisbon", 3), Trip("trip-2", "Venice", 2)):
            handle = await app.start(travel.options(id=trip.id), trip)
            try:
                say(f"{trip.id} is booked: {', '.join(await handle.result(timeout=60))}")
            except WorkflowFailed as failed:
                info = await handle.info()
                undone = ", ".join(one.name for one in info.compensations if one.outcome == "completed")
                say(f"{trip.id} has failed ({failed.error}), undoing is {info.compensation}: {undone}")


if __name__ == "__main__":
    anyio.run(main)
