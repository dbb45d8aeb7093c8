/* A page that was opened from its file may not fetch others: its search names them without their first lines. */
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
