"""What is true of a grant now, as far as it was looked at: the input of planning, and its vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from grantkeeper.core.admission import Admission
from grantkeeper.core.pacing import Rank, Urgency
from grantkeeper.core.profiles import Profile
from grantkeeper.core.reasons import Reason
from grantkeeper.core.tokens import IDClaims


class Copy(Enum):
    """How a delivered Secret compares with the set that is held."""

    CURRENT = auto()
    STALE = auto()
    MISSING = auto()
    FOREIGN = auto()
    UNWRITABLE = auto()


class Trouble(Enum):
    """Why a set that exists cannot be used."""

    UNSEALABLE = auto()
    REPLACED = auto()


@dataclass(frozen=True, slots=True)
class SecretFacts:
    """One Secret that consumers read."""

    name: str
    copy: Copy
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ConnectorFacts:
    """What matters to a grant of its connector."""

    name: str
    exists: bool
    ready: bool
    endpoints_known: bool
    is_judged: bool = True
    """Somebody has looked at it; not yet, for a moment after a start."""
    lacks: tuple[str, ...] = ()
    """Scopes that the grant names and the connector does not offer."""
    shows_links: bool = False
    """Consent links are shown in the status of its grants; otherwise they are opened when somebody asks for one."""
    keeps_tokens: bool = True
    """Whether it does; of a connector that is not there nobody knows otherwise."""
    namespace: str | None = None
    """Where it is, if that is not the grant's own namespace."""
    admission: Admission = Admission.ADMITTED


@dataclass(frozen=True, slots=True)
class Holding:
    """The set that is held, without its tokens."""

    generation: int
    obtained_at: datetime
    expires_at: datetime | None
    due_at: datetime | None
    scopes: tuple[str, ...]
    account: IDClaims | None
    refresh_hash: str | None
    """SHA-256 of the refresh token; None where there is none."""
    refresh_expires_at: datetime | None = None
    is_renewed: bool = True
    """Whether the server gives a new refresh token with a refresh, as far as is known."""
    asked: tuple[str, ...] | None = None
    """The scopes that were asked for at the consent; None where that is not known."""

    @property
    def is_refreshable(self) -> bool:
        """Whether there is a refresh token to present."""
        return self.refresh_hash is not None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a plan depends on."""

    now: datetime
    is_deleting: bool
    connector: ConnectorFacts
    is_held: bool = False
    """Our finalizer keeps the grant until its tokens have been dealt with."""
    holding: Holding | None = None
    profile: Profile | None = None
    """What was kept of a consent whose tokens were not."""
    trouble: Trouble | None = None
    trouble_detail: str = ""
    is_dead: bool = False
    """The refresh token that is held has been refused, or may be spent and must not be presented again."""
    refusal: Reason | None = None
    """Why Authorized does not hold, after the last answer that brought no tokens."""
    expected_account: str = ""
    """Whose consent the spec asks for, in words."""
    failure: str = ""
    """Why the last refresh failed, in words that hold nothing a server sent."""
    failures: int = 0
    place: Rank | None = None
    """Its place in the line where one grant at a time tries for all and this one has failed; None where it is that of everybody."""
    retry_not_before: datetime | None = None
    claim_respected_until: datetime | None = None
    """Until when another holder's claim keeps us away."""
    has_dangling_code: bool = False
    answers: tuple[str, ...] = ()
    """Names of the answer Secrets that wait."""
    has_open_request: bool = False
    has_lapsed_request: bool = False
    request_expires_at: datetime | None = None
    template_fault: str = ""
    """What is wrong with a template of spec.secrets: which, and what is allowed there."""
    secrets: tuple[SecretFacts, ...] = ()
    surplus: tuple[str, ...] = ()
    """Names of delivered Secrets of ours that spec.secrets names no more."""
    handed_out: tuple[str, ...] = ()
    """Names of all delivered Secrets of ours that there are, the surplus among them."""
    is_suspended: bool = False
    waits_for_turn: Urgency | None = None
    """As how urgent it waits for its turn at the server, and is woken when that comes."""
    is_hurried: bool = False
    """A refresh must not wait behind others: the leeway in which its token may be presented again runs out."""
    look_again_at: datetime | None = None
    """When something that failed may be tried again."""
    wanted: tuple[str, ...] = ()
    """The scopes that the person is to be asked for."""
    wish: str = ""
    """The hash that somebody asks for a link with, as long as that was not acted on."""
    has_link: bool = False
    """One of the open requests has its link in the status."""
    is_link_short: bool = False
    """That request asks for fewer scopes than are wanted."""
    link_ends_at: datetime | None = None
    """Until when the newest open request can be answered."""
    last_refusal: str | None = None
    """Why the last request for all that is wanted brought nothing, as a condition reason."""
    refresh_wish: str = ""
    """The value that somebody asks for a refresh with, as long as that was not answered."""
    refresh_wish_not_before: datetime | None = None
    """Until when it waits, for another one was answered just before."""
    is_refresh_wish_too_long: bool = False
    is_revivable: bool = False
    """It is dead by what the server said, and by that alone: whoever asks for a refresh has it asked once more."""
    kept_aside: tuple[str, ...] = ()
    """Names of Secrets with sets that came second."""
    has_left: bool = False
    """Something that was gained for it could not be stored yet."""
    is_unstored: bool = False
    """That is the successor of what is held; until it is stored, nothing else may be done that could spend a token."""
    is_kept: bool = True
    """Whether the grants of this namespace are kept at all."""

    @property
    def is_alive(self) -> bool:
        """Whether the access token that is held has not expired."""
        return self.holding is not None and (self.holding.expires_at is None or self.now < self.holding.expires_at)

    @property
    def is_served(self) -> bool:
        """Whether anything may be done for the grant: where not, nobody is asked, and nothing is presented or delivered."""
        return self.is_kept and self.connector.admission is Admission.ADMITTED

    @property
    def is_withheld(self) -> bool:
        """Whether nothing is handed out and nothing refreshed, whatever is held; what is stored stays."""
        return self.is_suspended or not self.connector.keeps_tokens or self.connector.admission is Admission.REFUSED

    @property
    def consent(self) -> Holding | Profile | None:
        """What tells whose consent counts, and to which scopes: the set, where one is held and may be used."""
        if self.holding is not None and (self.connector.keeps_tokens or self.profile is None):
            return self.holding
        return self.profile
