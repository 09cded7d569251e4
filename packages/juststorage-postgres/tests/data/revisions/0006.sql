INSERT INTO switches (name, is_on, turns) VALUES ('read_only', true, 7);
