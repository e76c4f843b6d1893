{{ fleet_use(['fleet_id', 'device_type', 'day']) }}
