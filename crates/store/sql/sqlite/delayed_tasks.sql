-- How many tasks have a message that the delay levels hold for some seconds more, as far as their copies tell.
SELECT count(*) FROM background_task WHERE delayed_until > strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '5 seconds')
