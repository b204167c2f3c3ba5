-- The journal's months: from the last there is, or this one, to a year ahead. A month of which rows lie in the default
-- partition already stays there: moving them would lock the journal for as long as it takes.
DO $$
DECLARE
    this_month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    month timestamp;
BEGIN
    SELECT least(this_month, max(to_date(relname, '"entry_"YYYY"_"MM')) + interval '1 month') INTO month
      FROM pg_class WHERE relname ~ '^entry_\d{4}_\d{2}$' AND relnamespace = current_schema()::regnamespace;
    WHILE month <= this_month + interval '12 months' LOOP
        BEGIN
            EXECUTE format(
                'CREATE TABLE IF NOT EXISTS %I PARTITION OF entry FOR VALUES FROM (%L) TO (%L)',
                to_char(month, '"entry_"YYYY"_"MM'), month || '+00', month + interval '1 month' || '+00'
            );
        EXCEPTION WHEN check_violation THEN
            RAISE NOTICE 'the month of % stays in the default partition', month;
        END;
        month := month + interval '1 month';
    END LOOP;
END $$;
