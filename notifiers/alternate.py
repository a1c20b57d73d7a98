"""Two relays: one for all mail, and another for pages that the first has not taken for a while (fault 75)."""

from __future__ import annotations

from collections.abc import Sequence

from notifiers.spec import Handed, Parcel, Relay, RelayUnreachable


class TwoRelays:
    """Hands what is late to the alternate, all else to the first; where one takes no connection, it says nothing."""

    def __init__(self, first: Relay, alternate: Relay) -> None:
        self._first, self._alternate = first, alternate

    async def hand_over(self, parcels: Sequence[Parcel]) -> Sequence[Handed | None]:
        """Late ones first: they are few, and somebody waits for them. Raises `RelayUnreachable` as the first does."""
        results: list[Handed | None] = [None] * len(parcels)
        try:
            await self._hand(self._alternate, parcels, results, late=True)
        except RelayUnreachable:
            parcels = [Parcel(one.recipient, one.body, one.ours) for one in parcels]
        try:
            await self._hand(self._first, parcels, results, late=False)
        except RelayUnreachable:
            if not any(results):
                raise
        return results

    def wind_down(self) -> None:
        """Begin no further parcel, for good."""
        self._first.wind_down()
        self._alternate.wind_down()

    @staticmethod
    async def _hand(relay: Relay, parcels: Sequence[Parcel], results: list[Handed | None], *, late: bool) -> None:
        chosen = [number for number, parcel in enumerate(parcels) if parcel.late is late]
        if not chosen:
            return
        for number, handed in zip(chosen, await relay.hand_over([parcels[one] for one in chosen]), strict=True):
            results[number] = handed
