"""Who a connection is: by client certificate, or by a token. There is no anonymous access."""

import re
from dataclasses import replace
from datetime import UTC, datetime

from contracts.errors import StoreUnavailable
from contracts.record import DEVICE_ID_PATTERN
from gateway.identity.certificates import Certificates, Presented
from gateway.identity.directory import Directory
from gateway.identity.jwt import check_jwt, is_jwt
from gateway.identity.model import Access, FleetCa, Identity, KnownDevice, Token
from gateway.identity.registry import Registry
from gateway.identity.suppressed import SuppressionList
from gateway.identity.tokens import equal, token_hash
from gateway.refusals import Refusal, Refused

_DEVICE_ID = re.compile(DEVICE_ID_PATTERN)


class Authenticator:
    """Authenticates connections, and says later whether they still hold. Every method raises Refused."""

    def __init__(
        self,
        registry: Registry,
        directory: Directory,
        credential_key: str,
        region: str,
        suppressed: SuppressionList | None = None,
    ) -> None:
        """suppressed: devices that were erased; a first contact does not enter them again."""
        self._registry = registry
        self._suppressed = suppressed
        self._directory = directory
        self._key, self._region = credential_key, region
        self._certificates = Certificates()

    async def by_token(self, user_name: str, password: bytes) -> Identity:
        """The device of that name, where the password is one of its tokens, or a JWT by one of its keys."""
        try:
            return self._proven(user_name, await self._known(user_name), password)
        except Refused as refused:
            if refused.refusal is not Refusal.BAD_CREDENTIAL:
                raise
        # A credential that was made a moment ago is not remembered yet.
        return self._proven(user_name, await self._known(user_name, anew=True), password)

    def _proven(self, user_name: str, device: KnownDevice | None, password: bytes) -> Identity:
        if device is None:
            # The answer is that of a wrong token: nobody learns which devices there are.
            raise Refused(Refusal.BAD_CREDENTIAL, "the token is not one of this device's")
        now = datetime.now(UTC)
        if is_jwt(password):
            ends = check_jwt(password, user_name, self._region, device.keys, now)
            return Identity(_allowed(device), by_key=True, expires_at=ends)
        offered = token_hash(self._key, user_name, password)
        token = next((one for one in device.tokens if equal(one.hash, offered)), None)
        if token is None or _over(token, now):
            raise Refused(Refusal.BAD_CREDENTIAL, "the token is not one of this device's, or has expired")
        return Identity(_allowed(device), token=token, expires_at=token.expires_at)

    async def by_certificate(self, der: bytes) -> Identity:
        """The device that the certificate names, which is provisioned at first contact where its fleet says so."""
        cas = self._directory.cas
        presented = self._certificates.read(der, cas)
        ca = next(one for one in cas if one.ca_id == presented.ca_id)
        device = await self._known(presented.device_id) or await self._provision(presented, ca)
        if device.fleet_id != ca.fleet_id:
            raise Refused(Refusal.UNKNOWN_CA, f"the certificate's CA is of fleet {ca.fleet_id}, the device is not")
        identity = Identity(
            _allowed(device), ca_id=ca.ca_id, certificate=presented.names, expires_at=presented.expires_at
        )
        _check_certificate(identity, device)
        return identity

    async def again(self, identity: Identity) -> Identity:
        """The identity as of now, for a session that lives. Raises Refused where its device or credential is gone."""
        device = await self._known(identity.device_id)
        if device is None:
            raise Refused(Refusal.UNKNOWN_DEVICE, "the device was removed from the registry")
        if identity.token is not None and identity.token not in device.tokens:
            raise Refused(Refusal.REVOKED, "the session's token was revoked")
        _check_certificate(identity, device)
        if identity.by_key and not device.keys:
            raise Refused(Refusal.REVOKED, "the key of the session's JWT was revoked")
        if identity.ca_id is not None and all(ca.ca_id != identity.ca_id for ca in self._directory.cas):
            raise Refused(Refusal.UNKNOWN_CA, "the CA of the session's certificate was removed")
        if identity.expires_at is not None and identity.expires_at <= datetime.now(UTC):
            raise Refused(Refusal.BAD_CREDENTIAL, "the session's credential has expired")
        return replace(identity, device=_allowed(device))

    async def _known(self, device_id: str, *, anew: bool = False) -> KnownDevice | None:
        if not _DEVICE_ID.fullmatch(device_id):
            raise Refused(Refusal.BAD_CREDENTIAL, "the name is no device id")
        try:
            return await self._directory.find(device_id, anew=anew)
        except StoreUnavailable:
            raise Refused(Refusal.REGISTRY_AWAY, "the registry is away; try again later") from None

    async def _provision(self, presented: Presented, ca: FleetCa) -> KnownDevice:
        if ca.provisioning not in (Access.ACTIVE, Access.PENDING):
            raise Refused(Refusal.UNKNOWN_DEVICE, f"fleet {ca.fleet_id} does not take in devices at first contact")
        try:
            if self._suppressed is not None and await self._suppressed.has(presented.device_id):
                raise Refused(Refusal.REVOKED, "the device was erased; fleetlake erase --lift lets it in again")
            await self._registry.provision(presented.device_id, ca)
        except StoreUnavailable:
            raise Refused(Refusal.REGISTRY_AWAY, "the registry is away; try again later") from None
        device = await self._known(presented.device_id)
        if device is None:
            raise Refused(Refusal.UNKNOWN_DEVICE, "the device was removed from the registry")
        return device


def _allowed(device: KnownDevice) -> KnownDevice:
    if device.access is Access.REVOKED:
        raise Refused(Refusal.REVOKED, "the device's access is revoked")
    if device.access is Access.PENDING:
        raise Refused(Refusal.PENDING, "the device waits to be let in: fleetlake device activate")
    return device


def _check_certificate(identity: Identity, device: KnownDevice) -> None:
    if not identity.certificate.isdisjoint(device.revoked):
        raise Refused(Refusal.REVOKED, "the device's certificate is revoked; another one is due")


def _over(token: Token, now: datetime) -> bool:
    return token.expires_at is not None and token.expires_at <= now
