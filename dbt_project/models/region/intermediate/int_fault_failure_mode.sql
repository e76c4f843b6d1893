-- Failure mode identifiers of SAE J1939-73, in words of our own; 22 to 30 are reserved.
with modes as (
    select *
    from (
        values
        (0, 'above its normal range, most severe'),
        (1, 'below its normal range, most severe'),
        (2, 'erratic or wrong'),
        (3, 'voltage too high, or shorted high'),
        (4, 'voltage too low, or shorted low'),
        (5, 'current too low, or open circuit'),
        (6, 'current too high, or grounded'),
        (7, 'mechanical part does not respond or is out of adjustment'),
        (8, 'abnormal frequency, pulse width or period'),
        (9, 'abnormal update rate'),
        (10, 'abnormal rate of change'),
        (11, 'failure not identifiable'),
        (12, 'bad intelligent device or component'),
        (13, 'out of calibration'),
        (14, 'special instructions'),
        (15, 'above its normal range, least severe'),
        (16, 'above its normal range, moderately severe'),
        (17, 'below its normal range, least severe'),
        (18, 'below its normal range, moderately severe'),
        (19, 'received network data in error'),
        (20, 'data drifted high'),
        (21, 'data drifted low'),
        (31, 'condition exists')
    ) as listed (fmi, failure_mode)
)

select * from modes
