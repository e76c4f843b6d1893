{{ fleet_use(['fleet_id', 'day']) }}
