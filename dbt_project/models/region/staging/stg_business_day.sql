with renamed as (
    select day from ops.business_days({{ today() }})
)

select * from renamed
