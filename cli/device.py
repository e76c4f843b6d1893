"""`fleetlake device`: who may speak to a region's gateway."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from cli.environment import enter_region
from cli.tables import figure, key, print_table, text
from contracts.errors import Misuse

if TYPE_CHECKING:
    from contracts.settings import RegionSettings

_Region = Annotated[str, typer.Option(help="A region of regions.toml.")]
_Json = Annotated[bool, typer.Option("--json", help="Report as JSON.")]
_Fleet = Annotated[str, typer.Option(help="The fleet; entered where it is new.")]
_Devices = Annotated[list[str], typer.Argument(help="Device ids.")]

device = typer.Typer(name="device", help="Who may speak to a region's gateway.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(device)


@device.command("add")
def _add(
    device_id: Annotated[str, typer.Argument(help="1 to 128 of A-Z a-z 0-9 . _ : -")],
    region: _Region,
    fleet: _Fleet,
    kind: Annotated[str, typer.Option("--type", help="car, van, truck, bus, train, machine or unknown.")] = "unknown",
    token: Annotated[bool, typer.Option("--token", help="With a token, which is printed once.")] = False,
    certificate: Annotated[
        Path | None, typer.Option(help="A folder for a new key and certificate by the fleet's CA on this machine.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Enter a device, and give it a token or a certificate."""
    settings = _settings(region)
    from gateway.admin.devices import NewDevice, add, make_token

    add(settings, [NewDevice(device_id, fleet, kind)])
    made: dict[str, Any] = {"device_id": device_id, "fleet_id": fleet}
    if token:
        made["token"] = make_token(settings, device_id, days=None, replace=False)
    if certificate is not None:
        made |= _issue(settings, device_id, fleet, certificate)
    _tell(settings, [device_id])
    _print(made, as_json=as_json)


@device.command("import")
def _import(
    file: Annotated[Path, typer.Argument(help="CSV with device_id, fleet_id, and type, make, model, fuel.")],
    region: _Region,
    as_json: _Json = False,
) -> None:
    """Enter the devices of a file; all of them or none."""
    settings = _settings(region)
    from gateway.admin.devices import add, read_devices

    _print({"devices": add(settings, list(read_devices(file)))}, as_json=as_json)


@device.command("list")
def _list(
    region: _Region,
    fleet: Annotated[str | None, typer.Option(help="Of this fleet only.")] = None,
    access: Annotated[str | None, typer.Option(help="active, pending or revoked.")] = None,
    most: Annotated[int, typer.Option(min=1, help="At most so many.")] = 1_000,
    as_json: _Json = False,
) -> None:
    """Devices with their access, tokens, and last refusal."""
    settings = _settings(region)
    from gateway.admin.devices import list_devices

    rows = list_devices(settings, fleet=fleet, access=access, most=most)
    if as_json:
        typer.echo(json.dumps(rows, default=str))
        return
    table = Table(key("device"), text("fleet"), text("type"), text("access"), figure("tokens"), text("last refusal"))
    for row in rows:
        said = f"{row['last_refusal']} {_moment(row['refused_at'])}" if row["last_refusal"] else ""
        table.add_row(row["device_id"], row["fleet_id"], row["type"], row["access"], f"{row['tokens']:,}", said)
    print_table(table)


@device.command("revoke")
def _revoke(
    device_ids: _Devices,
    region: _Region,
    certificate: Annotated[
        str | None, typer.Option(help="Only this certificate of the device: its SHA-256 or serial number, in hex.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Revoke devices' access, or one certificate: live sessions end at once, new ones are refused."""
    if certificate is None:
        _set_access(region, device_ids, "revoked", as_json=as_json)
        return
    if len(device_ids) != 1:
        raise Misuse("--certificate is of one device")
    settings = _settings(region)
    from gateway.admin.devices import revoke_certificate

    name = revoke_certificate(settings, device_ids[0], certificate)
    _tell(settings, device_ids)
    _print({"device_id": device_ids[0], "certificate": name}, as_json=as_json)


@device.command("activate")
def _activate(device_ids: _Devices, region: _Region, as_json: _Json = False) -> None:
    """Let devices in that are pending or were revoked."""
    _set_access(region, device_ids, "active", as_json=as_json)


@device.command("token")
def _token(
    device_id: Annotated[str, typer.Argument(help="The device.")],
    region: _Region,
    days: Annotated[float | None, typer.Option(help="The token expires after so many days.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Revoke earlier tokens now; without it they hold on, for a rotation.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Make a token: the password of the device's MQTT, and of its HTTP. It is printed once and kept as a hash."""
    settings = _settings(region)
    from gateway.admin.devices import make_token

    token = make_token(settings, device_id, days=days, replace=replace)
    _tell(settings, [device_id])
    _print({"device_id": device_id, "token": token}, as_json=as_json)


@device.command("key")
def _key(
    device_id: Annotated[str, typer.Argument(help="The device.")],
    region: _Region,
    add: Annotated[Path | None, typer.Option(help="A public key, PEM: P-256 or Ed25519.")] = None,
    revoke: Annotated[bool, typer.Option("--revoke", help="Revoke every key of the device.")] = False,
    as_json: _Json = False,
) -> None:
    """Register a public key: the device's password is then a JWT that it signs. Or revoke its keys."""
    settings = _settings(region)
    from gateway.admin.devices import add_key, revoke_keys

    if (add is None) is not revoke:
        raise Misuse("say --add FILE or --revoke")
    made: dict[str, Any] = {"device_id": device_id}
    if add is not None:
        add_key(settings, device_id, _read(add))
    else:
        made["revoked"] = revoke_keys(settings, device_id)
    _tell(settings, [device_id])
    _print(made, as_json=as_json)


@device.command("why")
def _why(
    device_id: Annotated[str, typer.Argument(help="The device.")], region: _Region, as_json: _Json = False
) -> None:
    """Why the device was refused last, and what its access is now."""
    settings = _settings(region)
    from gateway.admin.devices import why

    _print(why(settings, device_id), as_json=as_json)


@device.command("speaks-for")
def _speaks_for(
    concentrator: Annotated[str, typer.Argument(help="The device that connects.")],
    device_ids: _Devices,
    region: _Region,
    as_json: _Json = False,
) -> None:
    """Let a concentrator send the records of these devices."""
    settings = _settings(region)
    from gateway.admin.devices import speak_for

    speak_for(settings, concentrator, device_ids)
    _tell(settings, [concentrator])
    _print({"concentrator": concentrator, "devices": len(device_ids)}, as_json=as_json)


@device.command("home")
def _home(
    device_ids: _Devices,
    region: _Region,
    home: Annotated[str, typer.Option(help="Their region; REGION itself takes them off the list.")],
    as_json: _Json = False,
) -> None:
    """Set aside what arrives of devices that are at home in another region: as `wrong_region`, and it stays here."""
    settings = _settings(region)
    from gateway.admin.home import set_home

    _print({"home": home, "changed": set_home(settings, device_ids, home)}, as_json=as_json)


@device.command("ca")
def _ca(
    region: _Region,
    fleet: Annotated[str | None, typer.Option(help="The fleet whose devices the CA vouches for.")] = None,
    file: Annotated[Path | None, typer.Option(help="Its certificate, PEM; without it one is made here.")] = None,
    provisioning: Annotated[
        str, typer.Option(help="Devices that are not in the registry: refuse, pending or active.")
    ] = "refuse",
    remove: Annotated[str | None, typer.Option(help="Believe the CA of this id no longer.")] = None,
    as_json: _Json = False,
) -> None:
    """Believe a fleet's CA, or no longer."""
    settings = _settings(region)
    from gateway.admin.devices import add_ca, remove_ca
    from gateway.identity.laptop import fleet_authority, folder_of

    if remove is not None:
        remove_ca(settings, remove)
        made = {"removed": remove}
    elif fleet is None:
        raise Misuse("say whose CA it is: --fleet FLEET, or which to remove: --remove ID")
    else:
        own = fleet_authority(folder_of(settings.state, region), fleet).certificate if file is None else _read(file)
        made = {"ca_id": add_ca(settings, fleet, own, provisioning), "fleet_id": fleet, "provisioning": provisioning}
    _tell(settings, [], cas=True)
    _print(made, as_json=as_json)


def _settings(region: str) -> "RegionSettings":
    enter_region(region)
    from contracts.settings import RegionSettings

    return RegionSettings.load()


def _set_access(region: str, device_ids: list[str], access: str, *, as_json: bool) -> None:
    settings = _settings(region)
    from gateway.admin.devices import set_access
    from gateway.identity.model import Access

    set_access(settings, device_ids, Access(access))
    _tell(settings, device_ids)
    _print({access: len(device_ids)}, as_json=as_json)


def _issue(settings: "RegionSettings", device_id: str, fleet: str, folder: Path) -> dict[str, str]:
    from gateway.identity.laptop import device_files, fleet_authority, folder_of

    authority = fleet_authority(folder_of(settings.state, settings.region), fleet)
    certificate, key_file = device_files(folder, authority, device_id)
    return {"certificate": str(certificate), "key": str(key_file)}


def _tell(settings: "RegionSettings", device_ids: list[str], *, cas: bool = False) -> None:
    """Have the gateway's processes look at once."""
    from gateway.service.hub import tell

    if not tell(settings.redis_url.get_secret_value(), settings.region, device_ids, cas=cas):
        wait_s = settings.gateway.identity_age_s
        typer.secho(f"Redis does not answer: the gateway notices within {wait_s:.0f} s", err=True, fg="yellow")


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Misuse(f"{file} cannot be read ({type(error).__name__})") from None


def _print(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found, default=str))
        return
    for name, value in found.items():
        said = "-" if value is None else _moment(value) if isinstance(value, datetime) else value
        typer.echo(f"{name.replace('_', ' ')}: {said}")


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
