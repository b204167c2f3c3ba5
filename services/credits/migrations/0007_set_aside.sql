-- A hold that sets credits of a payment's lot aside while its money may go back: nobody's spending, and used by taking back.
ALTER TABLE hold ADD COLUMN set_aside boolean NOT NULL DEFAULT false;
