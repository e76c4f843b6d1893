"""Rule `j1939_not_available`: codes that say that there is no value, scaled by a decoder as if they were one."""

NOT_AVAILABLE: dict[str, tuple[float, ...]] = {
    "speed_kmh": (0xFFFF / 256, 0xFEFF / 256),
    "engine_rpm": (0xFFFF / 8, 0xFEFF / 8, 0xFE00 / 8),
    "fuel_rate_lph": (0xFFFF / 20, 0xFEFF / 20, 0xFE00 / 20),
    "odometer_km": (0xFFFFFFFF / 200, 0xFFFFFFFF / 8),
}
"""By reading. SAE J1939-71, table 1: 0xFF in a parameter's highest byte says "not available", 0xFE "error". A decoder
that does not know this scales the code as if it were a value: SPN 84 (1/256 km/h) 255.996, SPN 190 (1/8 1/min)
8191.875, SPN 183 (1/20 l/h) 3276.75, SPN 917 (5 m) and SPN 245 (1/8 km). Those of one byte (SPN 92 and 96 in percent
102, SPN 110 in degrees Celsius 215) lie outside the contract's bounds. 0xFE00 of a speed is left: it is 254 km/h, at
which trains run."""
TOLERANCE = 0.005
"""Half the last place of a value rounded to hundredths."""
